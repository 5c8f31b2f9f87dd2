"use strict";
// Everything that comes from a model enters the page as text (textContent, setAttribute), never as markup.
(() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  /* Make an element; `style` holds properties, `on…` listeners, children are elements or text. */
  function make(tag, attributes = {}, ...children) {
    const svg = ["svg", "path", "polyline", "text"].includes(tag);
    const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "style") Object.assign(element.style, value);
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter(child => child !== null));
    return element;
  }

  /* A name that may break after its dots. */
  const breakable = name => name.split(".").flatMap((part, i) => i ? [".", make("wbr"), part] : [part]);

  // ---- light and dark
  function themes() {
    const button = one("#theme"), root = document.documentElement;
    const kept = { get: () => { try { return localStorage.getItem("wua-theme"); } catch { return null; } },
                   set: value => { try { localStorage.setItem("wua-theme", value); } catch { /* not kept */ } } };
    const system = matchMedia("(prefers-color-scheme: dark)");
    const now = () => root.dataset.theme || (system.matches ? "dark" : "light");
    const label = () => { button.textContent = now() === "dark" ? "Light" : "Dark"; };
    if (["light", "dark"].includes(kept.get())) root.dataset.theme = kept.get();
    button.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      kept.set(root.dataset.theme);
      label();
    });
    system.addEventListener("change", label);
    button.setAttribute("aria-label", "Switch between light and dark");
    button.hidden = false;
    label();
  }

  // ---- what is folded: opened by links into it and by printing
  function reveal(target) {
    for (let part = target; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    const own = target.tagName === "DETAILS" ? target : target.closest("details");
    (own || target).scrollIntoView();
  }

  function folds(create) {
    const follow = () => {
      const name = location.hash.slice(1);
      const layer = /^layer-(\d+)$/.exec(name);
      const target = (layer && create(Number(layer[1]))) || (name && document.getElementById(name));
      if (target) reveal(target);
    };
    addEventListener("hashchange", follow);
    document.addEventListener("click", event => {
      const link = event.target.closest && event.target.closest("a[href^='#']");
      if (link && link.getAttribute("href") === location.hash) follow();
    });
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = all("details:not([open])");
      for (const part of closed) part.open = true;
    });
    addEventListener("afterprint", () => { for (const part of closed) part.open = false; });
    if (location.hash) follow();
  }

  // ---- numbers, as wua_onnx/report/numbers.py writes them
  const UNKNOWN = "not known", PREFIXES = ["", " k", " M", " G", " T", " P", " E"];
  const count = value => value === null ? UNKNOWN : Math.round(value).toLocaleString("en-US");
  const decimal = value => value === null ? UNKNOWN : value.toFixed(3);
  function short(value, exact) {
    if (value === null) return UNKNOWN;
    for (const [power, prefix] of PREFIXES.entries()) {
      const scaled = value / 1000 ** power, size = Math.abs(Number(scaled.toPrecision(3)));
      if (size < 1000) return scaled.toFixed(!power && exact ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0) + prefix;
    }
    return value.toExponential(2);
  }
  function percent(share) {
    if (share === null) return UNKNOWN;
    if (share > 0 && share < 0.0005) return "< 0.1\u00a0%";
    if (share >= 0.9995 && share < 1) return "> 99.9\u00a0%";
    return (100 * share).toFixed(share === 0 || share === 1 ? 0 : 1) + "\u00a0%";
  }

  // ---- the columns
  async function unpacked(text) {
    const packed = new Blob([Uint8Array.from(atob(text), letter => letter.charCodeAt(0))]);
    return new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  function open(data) {
    const rows = data.histogram.length, numbers = data.numbers, texts = {}, keys = {};
    for (const [name, column] of Object.entries(data.texts))
      texts[name] = column.at ? column.at.map(place => column.words[place]) : column.words;
    /* What a column is sorted by: numbers, unknown ones as NaN; texts as ranks, numbers in them by their size. */
    const key = name => keys[name] ||= name in numbers
      ? Float64Array.from(numbers[name], value => value === null ? NaN : value) : ranks(texts[name]);
    const searched = Array.from({ length: rows }, (_, i) =>
      ["name", "kind", "operator", "activation", "module"].map(name => texts[name][i]).join("\n").toLowerCase());
    return { ...data, rows, texts, key, searched };
  }

  function ranks(column) {
    const padded = column.map(text => text.toLowerCase().replace(/\d+/g, digits => digits.padStart(9, "0")));
    const order = padded.map((_, i) => i).sort((a, b) => padded[a] < padded[b] ? -1 : padded[a] > padded[b] ? 1 : a - b);
    const found = new Float64Array(column.length);
    order.forEach((place, rank) => { found[place] = rank && padded[place] === padded[order[rank - 1]] ? found[order[rank - 1]] : rank; });
    return found;
  }

  /* Sort places by a column; unknown values come last in either direction, equal ones as in the file. */
  function sorted(places, key, down) {
    const known = places.filter(i => !isNaN(key[i]));
    known.sort(down ? (a, b) => key[b] - key[a] || a - b : (a, b) => key[a] - key[b] || a - b);
    return known.length < places.length ? known.concat(places.filter(i => isNaN(key[i]))) : known;
  }

  const levels = path => path ? path.split(".") : [];
  function groupOf(layers, by) {
    if (by === "kind") return i => layers.texts.kind[i];
    return i => levels(layers.texts.module[i]).slice(0, Number(by)).join(".") || "(outside modules)";
  }

  /* What is shown, in order: places of layers, and groups {name, places, weights, effective, macs}. */
  function arranged(layers, state) {
    const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean), { kind } = layers.texts;
    let places = [];
    for (let i = 0; i < layers.rows; i++)
      if ((!state.kind || kind[i] === state.kind) && words.every(word => layers.searched[i].includes(word))) places.push(i);
    if (state.sort) places = sorted(places, layers.key(state.sort), state.down);
    if (!state.group) return { places, items: places };
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

  /* The share of what is shown that each layer and those above it hold together. */
  function cumulated(layers, places, what) {
    const own = layers.numbers[what], total = layers.numbers[what].reduce((sum, value) => sum + (value || 0), 0);
    const shares = new Float64Array(layers.rows);
    let sum = 0;
    for (const i of places) shares[i] = total > 0 ? (sum += own[i] || 0) / total : NaN;
    return shares;
  }

  // ---- the table
  function bar(length, band, tick) {
    if (length === null) return null;
    const percentage = value => `${(100 * Math.min(Math.max(value, 0), 1)).toFixed(2)}%`;
    return make("span", { class: `bar ${band}` }, make("i", { style: { width: percentage(length) } }),
      tick === null ? null : make("b", { style: { left: percentage(tick) } }));
  }
  const value = text => make("span", { class: "value" }, text);
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

  function groupRow(group, unit, folded, toggle) {
    const text = `${group.places.length.toLocaleString("en-US")} ${group.places.length === 1 ? "layer" : "layers"}`;
    return make("tr", { class: "group" },
      make("th", { scope: "row" }, make("button", { type: "button", "aria-expanded": String(!folded), "data-group": group.name, onclick: toggle }, group.name),
        make("span", { class: "sub" }, text)),
      make("td", { class: "num" }, count(group.weights)), make("td", { class: "num" }, short(group.effective)),
      make("td", {}, group.share ? percent(group.share) : short(group.macs) + unit), make("td", {}),
      make("td", {}, group.weights ? percent(group.effective / group.weights) : ""), make("td", { colspan: 5 }));
  }

  const WINDOW = 200; // rows up to which all of them are in the page, and that are printed
  function table(layers) {
    const tools = one("#layer-tools"), view = one("#layer-table"), body = one("tbody", view), box = view.parentElement;
    const state = { filter: "", kind: "", group: "", cumulate: layers.cumulated[0], sort: "", down: false, folded: new Set() };
    let shown = { places: [], items: [] }, shares = [], first = -1;

    function row(item) {
      if (typeof item === "number") return layerRow(layers, item, shares[item]);
      const folded = state.folded.has(item.name);
      const symbols = layers.texts.macs_text[item.places[0]].split(" · ").slice(1).join(" · ");
      return groupRow(item, symbols && ` · ${symbols}`, folded, () => {
        state.folded[folded ? "delete" : "add"](item.name);
        update();
        const again = all("button[data-group]", body).find(button => button.dataset.group === item.name);
        if (again) again.focus();
      });
    }

    const space = height => make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: 11, style: { height: `${height}px` } }));
    function draw(anew) {
      const many = shown.items.length > WINDOW;
      box.classList.toggle("window", many);
      if (!many) { if (anew) body.replaceChildren(...shown.items.map(row)); return; }
      const height = 80, room = Math.ceil(box.clientHeight / height) || 12;
      const start = Math.max(Math.min(Math.floor(box.scrollTop / height) - 5, shown.items.length - room - 10), 0);
      if (!anew && Math.abs(start - first) < 4) return;
      first = start;
      const end = Math.min(start + room + 10, shown.items.length);
      const rows = shown.items.slice(start, end).map(row);
      rows.forEach((each, i) => each.setAttribute("aria-rowindex", start + i + 2));
      body.replaceChildren(space(start * height), ...rows, space((shown.items.length - end) * height));
    }

    function update() {
      shown = arranged(layers, state);
      shares = cumulated(layers, shown.places, state.cumulate);
      view.setAttribute("aria-rowcount", shown.items.length + 1);
      box.scrollTop = 0;
      draw(true);
      const words = shown.places.length === layers.rows ? count(layers.rows) : `${count(shown.places.length)} of ${count(layers.rows)}`;
      tools.elements.count.textContent = `${words} layers`;
      for (const head of all("th[data-key]", view)) {
        if (head.dataset.key === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      }
    }

    /* Sort by a column; again the other way; a third time as in the file. Cumulated shares keep the order of what is added up. */
    function sortBy(key) {
      const column = key === "cumulative" ? state.cumulate : key, down = column in layers.numbers;
      if (state.sort !== column) Object.assign(state, { sort: column, down });
      else if (state.down === down) state.down = !down;
      else Object.assign(state, { sort: "", down: false });
      update();
    }

    for (const head of all("th[data-key]", view)) {
      const inside = [...head.childNodes];
      head.append(make("button", { type: "button", onclick: () => sortBy(head.dataset.key) }, ...inside));
    }
    const fill = (select, options) => select.append(...options.map(([key, text]) => make("option", { value: key }, text)));
    fill(tools.elements.kind, [...new Set(layers.texts.kind)].sort().map(kind => [kind, kind]));
    fill(tools.elements.group, moduleLevels(layers));
    tools.addEventListener("submit", event => event.preventDefault());
    tools.addEventListener("input", event => {
      if (event.target.name === "format") return;
      for (const name of ["filter", "kind", "group", "cumulate"]) state[name] = tools.elements[name].value;
      one("th[data-key=cumulative] .hidden", view).textContent = ` share of ${tools.elements.cumulate.selectedOptions[0].text}`;
      update();
    });
    let waiting = false;
    box.addEventListener("scroll", () => {
      if (!waiting) requestAnimationFrame(() => { waiting = false; draw(false); });
      waiting = true;
    });
    addEventListener("beforeprint", () => body.replaceChildren(...shown.items.slice(0, WINDOW).map(row)));
    addEventListener("afterprint", () => draw(true));
    const exported = () => written(layers, shown.places, shares, tools.elements.format.value);
    tools.elements.copy.addEventListener("click", () => copy(exported(), tools.elements.count));
    tools.elements.download.addEventListener("click", () => download(exported(), layers.model, tools.elements.format.value));
    tools.hidden = false;
    shown = arranged(layers, state);
    shares = cumulated(layers, shown.places, state.cumulate);
    setTimeout(() => layers.key("name"), 100); // ready before it is asked for
    if (layers.rows > WINDOW) { update(); if (one("#layer-rest")) one("#layer-rest").hidden = true; }
    else tools.elements.count.textContent = `${count(layers.rows)} layers`;
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

  // ---- what is shown, as a file
  const round = share => Number(share.toPrecision(5));
  function cell(layers, i, name, shares) {
    if (name === "cumulative") return isNaN(shares[i]) ? null : round(shares[i]);
    if (name === "macs" && layers.texts.macs_text[i]) return layers.texts.macs_text[i];
    return name in layers.numbers ? layers.numbers[name][i] : layers.texts[name][i];
  }
  const blank = cell => cell === null ? "" : String(cell);
  const WRITERS = {
    JSON: (heads, rows) => JSON.stringify(rows.map(row => Object.fromEntries(row.map((each, k) => [heads[k], each]))), null, 1) + "\n",
    /* A text that a spreadsheet would take for a formula gets a quote in front. */
    CSV: (heads, rows) => [heads, ...rows].map(row => row.map(each => {
      const text = typeof each === "string" && /^[\s]*[=+\-@\t\r]/.test(each) ? `'${each}` : blank(each);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    }).join(",")).join("\n") + "\n",
    Markdown: (heads, rows) => {
      const safe = each => blank(each).replace(/[\\`*_{}[\]|~<>&$]|:(?! )/g, "\\$&").replace(/[@#]/g, sign => `&#${sign.charCodeAt(0)};`);
      const line = row => `| ${row.map(safe).join(" | ")} |`;
      return [line(heads), `|${" --- |".repeat(heads.length)}`, ...rows.map(line)].join("\n") + "\n";
    },
    LaTeX: (heads, rows) => {
      const named = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "×": "$\\times$", "→": "$\\to$" };
      const safe = each => blank(each).replace(/[\\~^×→&%$#_{}]/g, sign => named[sign] || `\\${sign}`);
      const line = row => `${row.map(safe).join(" & ")} \\\\`;
      return ["\\begin{tabular}{" + "l".repeat(heads.length) + "}", line(heads), "\\hline", ...rows.map(line), "\\end{tabular}"].join("\n") + "\n";
    },
  };
  function written(layers, places, shares, format) {
    return WRITERS[format](layers.exported, places.map(i => layers.exported.map(name => cell(layers, i, name, shares))));
  }

  async function copy(text, status) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make("textarea", { class: "hidden" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    status.textContent = "Copied";
  }

  function download(text, model, format) {
    const ending = { CSV: "csv", JSON: "json", Markdown: "md", LaTeX: "tex" }[format];
    const address = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
    make("a", { href: address, download: `${model.replace(/[^\w-]+/g, "_").slice(0, 60)}-layers.${ending}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
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
      const inside = make("div", { class: "detail", id }, facts([["operator", t.operator[i]], ["module", t.module[i] || "–"], ["weights", count(n.weights[i])],
        ["effective weights", short(n.effective[i])], ["MACs", macsText(layers, i)], ["activation", t.activation[i] || "none found"],
        ["dead", n.dead[i] === null ? UNKNOWN : `${count(n.dead[i])} of ${count(n.neurons[i])}`]]),
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

  async function start() {
    themes();
    const stored = one("#layer-data");
    const data = stored && await unpacked(stored.textContent).catch(() => null); // a browser from before 2023: as without script
    if (!data) return folds(() => null);
    const layers = open(data);
    table(layers);
    folds(creator(layers));
  }
  start();
})();
