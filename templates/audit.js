// The layers of an audit: rows, groups, and the details that the page does not hold.
const levels = path => path ? path.split(".") : [];
function groupOf(layers, by) {
  if (by === "kind") return i => layers.texts.kind[i];
  return i => levels(layers.texts.module[i]).slice(0, Number(by)).join(".") || "(outside modules)";
}

/* The layers that are shown in groups, {name, places, weights, effective, macs, share}, each before its layers. */
function grouped(layers, state, places) {
  const name = groupOf(layers, state.group), groups = new Map();
  for (const i of places) {
    if (!groups.has(name(i))) groups.set(name(i), { name: name(i), places: [] });
    groups.get(name(i)).places.push(i);
  }
  const sum = (group, what) => group.places.reduce((total, i) => total + (layers.numbers[what][i] || 0), 0);
  for (const group of groups.values()) for (const what of ["weights", "effective", "macs", "share"]) group[what] = sum(group, what);
  const order = [...groups.values()];
  if (layers.cumulated.includes(state.sort)) order.sort((a, b) => (state.down ? -1 : 1) * (a[state.sort] - b[state.sort]));
  const items = order.flatMap(group => [group, ...(state.folded.has(group.name) ? [] : group.places)]);
  return { places: order.flatMap(group => group.places), items };
}

const untrained = text => make("span", { class: "untrained" }, make("span", { class: "hidden" }, "untrained "), text);

function metric(layers, name, i, write) {
  const own = layers.numbers[name][i], other = layers.numbers[`untrained_${name}`][i], band = layers.texts[`${name}_band`][i];
  return make("td", { class: "metric" }, value(write(own)), bar(own, band, other), make("span", { class: "sub" },
    band && band !== "ordinary" ? make("em", { class: `band ${band}` }, band) : null,
    other === null ? null : untrained(write(other))));
}

function spark(heights) {
  const steps = [...heights].map(digit => `V${20 - parseInt(digit, 36)}h1`).join("");
  return make("svg", { class: "spark", viewBox: `0 0 ${heights.length} 20`, preserveAspectRatio: "none", role: "img",
    "aria-label": "histogram of importance, smallest left" }, make("path", { d: `M0 20${steps}V20z` }));
}

const macsText = (layers, i) => layers.texts.macs_text[i] || short(layers.numbers.macs[i], true);
function layerRow(layers, i, share) {
  const { numbers: n, texts: t } = layers, dead = n.dead[i] === null ? UNKNOWN : `${count(n.dead[i])} of ${count(n.neurons[i])}`;
  const known = n.share[i] !== null, after = n.untrained_coverage[i];
  return make("tr", {},
    make("th", { scope: "row" }, make("a", { class: "name", href: `#layer-${i}`, title: t.name[i] }, ...breakable(t.name[i])),
      make("span", { class: "sub" }, `${t.kind[i]} ${t.shape[i]}${t.activation[i] && ` → ${t.activation[i]}`}`,
        t.notes[i] ? " · " : null, t.notes[i] ? make("em", { class: "band severe" }, t.notes[i]) : null)),
    make("td", { class: "num" }, count(n.weights[i])),
    make("td", { class: "num" }, short(n.effective[i])),
    make("td", { class: "metric" }, value(known ? percent(n.share[i]) : macsText(layers, i)),
      bar(n.share[i], "plain", null), known ? make("span", { class: "sub" }, macsText(layers, i)) : null),
    make("td", { class: "metric short" }, value(isNaN(share) ? "–" : percent(share)), bar(share || 0, "plain", null)),
    metric(layers, "utilization", i, percent), metric(layers, "redundancy", i, decimal), metric(layers, "gini", i, decimal),
    make("td", { class: "num" }, percent(n.coverage[i]), after === null ? null : make("span", { class: "sub" }, untrained(percent(after)))),
    make("td", { class: "num" }, n.dead[i] ? make("em", { class: "band severe" }, dead) : dead),
    make("td", {}, layers.histogram[i] ? spark(layers.histogram[i]) : ""));
}

function groupRow(layers, group, folded, toggle) {
  const symbols = layers.texts.macs_text[group.places[0]].split(" · ").slice(1).join(" · "), unit = symbols && ` · ${symbols}`;
  const text = `${group.places.length.toLocaleString("en-US")} ${group.places.length === 1 ? "layer" : "layers"}`;
  return make("tr", { class: "group" },
    make("th", { scope: "row" }, make("button", { type: "button", "aria-expanded": String(!folded), "data-group": group.name, onclick: toggle }, group.name),
      make("span", { class: "sub" }, text)),
    make("td", { class: "num" }, count(group.weights)), make("td", { class: "num" }, short(group.effective)),
    make("td", {}, group.share ? percent(group.share) : short(group.macs) + unit), make("td", {}),
    make("td", {}, group.weights ? percent(group.effective / group.weights) : ""), make("td", { colspan: 5 }));
}

/* The depths of module paths that put layers together: fewer groups than layers, more than the depth before. */
function moduleLevels(layers) {
  const found = [], deepest = Math.min(8, Math.max(0, ...layers.texts.module.map(path => levels(path).length)));
  let before = 1;
  for (let depth = 1; depth <= deepest; depth++) {
    const groups = new Set(layers.texts.module.map(path => levels(path).slice(0, depth).join("."))).size;
    if (groups > before && groups < layers.rows) found.push([String(depth), `module, ${depth} ${depth === 1 ? "level" : "levels"}`]);
    before = groups;
  }
  return found;
}

// ---- details of the layers that the page does not hold in full
const facts = pairs => make("dl", { class: "facts" }, ...pairs.map(([label, text]) =>
  make("div", {}, make("dt", {}, label), make("dd", {}, text))));
function plain(heads, rows) {
  return make("table", { class: "small nums" }, make("thead", {}, make("tr", {}, ...heads.map(head => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map(each => make("td", {}, each))))));
}
function figure(title, drawing, name, heads, rows) {
  const svg = make("svg", { class: "chart", viewBox: "0 0 300 150", width: 300, height: 150, role: "img", "aria-label": title }, drawing);
  return make("figure", {}, make("figcaption", {}, title), svg, make("details", {},
    make("summary", {}, "The same as a table", make("span", { class: "hidden" }, `: ${title}, ${name}`)), plain(heads, rows)));
}
function drawnHistogram(layers, i, name) {
  const heights = [...layers.histogram[i]].map(digit => parseInt(digit, 36)), [low, high] = layers.ends[i];
  const wide = 300 / heights.length, edge = bin => (10 ** (low + (high - low) * bin / heights.length)).toPrecision(3);
  const bars = heights.map((height, bin) => `M${bin * wide} 150v${-7 * height}h${wide - 0.6}V150z`).join("");
  return figure(`Importance of its weights, ${edge(0)} to ${edge(heights.length)} times the mean`, make("path", { class: "area", d: bars }),
    name, ["Importance / mean", "Weights, of the highest bin"], heights.flatMap((height, bin) => height ? [[`${edge(bin)} – ${edge(bin + 1)}`, percent(height / 20)]] : []));
}
function drawnLorenz(shares, name) {
  const last = shares.length - 1, points = shares.map((share, k) => `${300 * (1 - share)},${150 * k / last}`).join(" ");
  return figure("Lorenz curve: importance over weights, smallest first", make("polyline", { class: "curve", points: `${points} 0,150` }),
    name, ["Importance", "held by the largest"], shares.map((share, k) => [percent(k / last), percent(share)]).slice(2, -1));
}
function creator(layers) {
  return i => {
    const id = `layer-${i}`, there = document.getElementById(id);
    if (!(i < layers.rows)) return null;
    if (there && there.classList.contains("detail")) return there;
    if (there) there.removeAttribute("id");
    const { numbers: n, texts: t } = layers, name = t.name[i];
    const inside = make("div", { class: "detail", id }, facts([["operator", t.operator[i]], ["module", t.module[i]], ["class of its module", t.module_class[i]], ["called at", t.source[i]], ["weights", count(n.weights[i])],
      ["effective weights", short(n.effective[i])], ["MACs", macsText(layers, i)], ["activation", t.activation[i] || "none found"],
      ["dead", n.dead[i] === null ? UNKNOWN : `${count(n.dead[i])} of ${count(n.neurons[i])}`]].filter(fact => fact[1])),
      make("div", { class: "charts" }, layers.ends[i].length && layers.histogram[i] ? drawnHistogram(layers, i, name) : null,
        layers.lorenz[i].length ? drawnLorenz(layers.lorenz[i], name) : null),
      plain(["Metric", layers.criterion, "untrained"], [["utilization", percent], ["redundancy", decimal], ["gini", decimal], ["coverage", percent]].map(
        ([what, write]) => [what, write(n[what][i]), write(n[`untrained_${what}`][i])])),
      make("p", { class: "note" }, "Neurons, gates and heads of this layer are in the JSON of the audit."));
    const part = make("details", { class: "layer" }, make("summary", {}, ...breakable(name), " ", make("span", { class: "sub" }, `${t.kind[i]} ${t.shape[i]}`)), inside);
    one("#layer-stubs").append(part);
    return inside;
  };
}

start(layers => ({ drawn: layerRow, grouped, groupRow, levels: moduleLevels(layers), detail: creator(layers) }));
