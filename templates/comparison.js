// The layers of a comparison.
function changed(layers, i, name) {
  const { numbers: n, texts: t } = layers, line = t[`${name}_line`][i], tone = t[`${name}_tone`][i];
  const both = n[name][i] !== null;
  return make("td", { class: "metric" }, value(line), both ? bar(n[`${name}_after`][i], tone, n[`${name}_before`][i]) : null,
    both ? make("span", { class: `sub tone ${tone}` }, t[`${name}_change`][i]) : null);
}

function counted(texts, i, name) {
  const step = texts[`${name}_step`][i], change = texts[`${name}_change`][i];
  return make("td", { class: "num" }, step, step === change ? null : make("span", { class: "sub" }, change));
}

function changeRow(layers, i) {
  const t = layers.texts;
  return make("tr", {},
    make("th", { scope: "row" }, make("span", { class: "name", title: t.name[i] }, ...breakable(t.name[i])),
      t.notes[i] ? make("span", { class: "sub" }, t.notes[i]) : null),
    make("td", {}, make("span", { class: `chip ${t.status[i]}` }, t.status[i])),
    make("td", { class: "dims" }, t.shape[i]),
    counted(t, i, "weights"), counted(t, i, "macs"),
    ...["utilization", "redundancy", "gini"].map(name => changed(layers, i, name)),
    make("td", { class: "num" }, t.dead_neurons_line[i]), make("td", { class: "num" }, t.moved[i]));
}

start(() => ({ drawn: changeRow, detail: () => null }));
