// What the pages of an audit and of a comparison share. It stands inside of a function with what only one of them needs.
// Everything that comes from a model enters the page as text (textContent, setAttribute), never as markup.
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
    closed = all("details:not([open])").filter(part => !part.closest("figure")); // the tables behind drawings stay closed
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
  const numbers = data.numbers, texts = {}, keys = {};
  for (const [name, column] of Object.entries(data.texts))
    texts[name] = column.at ? column.at.map(place => column.words[place]) : column.words;
  /* What a column is sorted by: numbers, unknown ones as NaN; texts as ranks, numbers in them by their size. */
  const key = name => keys[name] ||= name in numbers
    ? Float64Array.from(numbers[name], value => value === null ? NaN : value) : ranks(texts[name]);
  const rows = texts.name.length;
  const searched = Array.from({ length: rows }, (_, i) => data.searched.map(name => texts[name][i]).join("\n").toLowerCase());
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

/* Places of the layers that are shown, in order. */
function arranged(layers, state) {
  const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean), picked = layers.texts[layers.picked];
  const places = [];
  for (let i = 0; i < layers.rows; i++)
    if ((!state.pick || picked[i] === state.pick) && words.every(word => layers.searched[i].includes(word))) places.push(i);
  return state.sort ? sorted(places, layers.key(state.sort), state.down) : places;
}

/* The share of what is shown that each layer and those above it hold together. */
function cumulated(layers, places, what) {
  if (!what) return [];
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

const WINDOW = 200; // rows up to which all of them are in the page, and that are printed
/*
 * The table of layers, sorted, filtered, and put into groups where the page has a control for it.
 * `drawn` draws the row of a layer from its place and its cumulated share; `grouped` gives the items {places, items} of
 * the groups, of which `groupRow` draws the head; `levels` are the groups that can be chosen.
 */
function table(layers, { drawn, grouped, groupRow, levels }) {
  const tools = one("#layer-tools"), view = one("#layer-table"), body = one("tbody", view), box = view.parentElement;
  const state = { filter: "", pick: "", group: "", cumulate: layers.cumulated[0], sort: "", down: false, folded: new Set() };
  let shown = { places: [], items: [] }, shares = [], first = -1;

  function row(item) {
    if (typeof item === "number") return drawn(layers, item, shares[item]);
    const folded = state.folded.has(item.name);
    return groupRow(layers, item, folded, () => {
      state.folded[folded ? "delete" : "add"](item.name);
      update();
      const again = all("button[data-group]", body).find(button => button.dataset.group === item.name);
      if (again) again.focus();
    });
  }

  const space = height => make("tr", { class: "space", "aria-hidden": "true" }, make("td", { colspan: all("thead th", view).length, style: { height: `${height}px` } }));
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

  function arrange() {
    const places = arranged(layers, state);
    shown = state.group ? grouped(layers, state, places) : { places, items: places };
    shares = cumulated(layers, shown.places, state.cumulate);
  }

  function update() {
    arrange();
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
  fill(tools.elements.pick, [...new Set(layers.texts[layers.picked])].sort().map(word => [word, word]));
  if (levels) fill(tools.elements.group, levels);
  tools.addEventListener("submit", event => event.preventDefault());
  tools.addEventListener("input", event => {
    if (event.target.name === "format") return;
    for (const { name, value } of tools.elements) if (name in state) state[name] = value;
    const { cumulate } = tools.elements;
    if (cumulate) one("th[data-key=cumulative] .hidden", view).textContent = ` share of ${cumulate.selectedOptions[0].text}`;
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
  arrange();
  setTimeout(() => layers.key("name"), 100); // ready before it is asked for
  if (layers.rows > WINDOW) { update(); if (one("#layer-rest")) one("#layer-rest").hidden = true; }
  else tools.elements.count.textContent = `${count(layers.rows)} layers`;
}

// ---- what is shown, as a file
const round = share => Number(share.toPrecision(5));
function cell(layers, i, name, shares) {
  if (name === "cumulative") return isNaN(shares[i]) ? null : round(shares[i]);
  const text = (layers.texts[`${name}_text`] || layers.texts[name] || [])[i];
  return text || !(name in layers.numbers) ? text : layers.numbers[name][i];
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

// ---- the page
/* Make the page work: `made` gives, of its columns, what draws the table, and `detail` of a layer that is linked to. */
async function start(made) {
  themes();
  const stored = one("#layer-data");
  const data = stored && await unpacked(stored.textContent).catch(() => null); // a browser from before 2023: as without script
  if (!data) return folds(() => null);
  const layers = open(data), parts = made(layers);
  table(layers, parts);
  folds(parts.detail);
}
