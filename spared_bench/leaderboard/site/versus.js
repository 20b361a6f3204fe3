"use strict";
// Two rows side by side: where each is better, by how much and how sure, and what each costs.

(() => {
  const { el, score, link, table, rowName, none, metricAt, scores, write, duration, count, measure } = spared;
  const { known, plural, capital } = spared.parts;

  // Rows to choose from: ranked ones first, in their order.
  function offered(board, choice) {
    const ranked = new Set(choice.order);
    return [...choice.order, ...board.rows.filter((row) => !ranked.has(row))];
  }

  spared.views.compare = async ({ board, maps }, view, [left, right]) => {
    const params = spared.state().params, choice = spared.choice.select(board, params), rows = offered(board, choice);
    if (rows.length < 2) return view.replaceChildren(el("h2", {}, "Compare"), el("p", { class: "banner" }, "There is nothing to compare: this board has fewer than two rows."));
    const find = (id) => rows.find((row) => row.id === id);
    const a = find(left) || rows.find((row) => row.id !== right), b = find(right) || rows.find((row) => row !== a);
    const go = (one, other, focus) => { spared.replaceState(["compare", one, other], spared.state().params); spared.render().then(() => document.getElementById(focus)?.focus()); };
    const choose = (label, id, chosen, change) => el("label", {}, label, el("select", { id, onchange: (event) => change(event.target.value) }, rows.map((row) => el("option", { value: row.id, selected: row === chosen }, `${known(choice.of(row).rank) ? `${choice.of(row).rank}. ` : ""}${rowName(row)} · ${row.completer}`))));
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / compare"),
      el("h2", {}, el("bdi", {}, spared.choose.beside(a, b)), " against ", el("bdi", {}, spared.choose.beside(b, a))),
      el("div", { class: "controls" }, choose("First", "compare-first", a, (id) => go(id, b.id, "compare-first")), choose("Second", "compare-second", b, (id) => go(a.id, id, "compare-second")),
        el("button", { type: "button", class: "quiet", id: "compare-swap", onclick: () => go(b.id, a.id, "compare-swap") }, "Swap"), spared.chooseMetric(board, ["compare", a.id, b.id])),
      spared.choose.narrowed(["compare", a.id, b.id], params),
      ...(a === b ? [el("p", { class: "banner" }, "These are the same row. Choose another.")] : [el("p", { id: "verdict" }, verdict(board, choice, a, b)), perDataset(board, choice, maps, a, b)]),
      costs(a, b));
  };

  // In words, over the datasets that both have and that count.
  function verdict(board, choice, a, b) {
    const [first, second] = [spared.choose.beside(a, b), spared.choose.beside(b, a)];
    const { k, metric, counted } = choice, value = (row, i) => scores(row, k).mean[i];
    const both = counted.filter((i) => known(value(a, i)) && known(value(b, i)));
    if (!both.length) return "No dataset that counts has a result of both.";
    const wins = both.filter((i) => spared.error(metric, value(a, i)) < spared.error(metric, value(b, i))).length;
    const losses = both.filter((i) => spared.error(metric, value(a, i)) > spared.error(metric, value(b, i))).length;
    const { mean, interval: [low, high] } = choice.between(a, b), show = metric.normalised ? score : write(metric);
    const worse = (v) => metric.normalised || metric.better !== "higher" ? v > 0 : v < 0;
    const sure = known(low) ? ` (95 % interval ${show(low)} to ${show(high)}${low <= 0 && high >= 0 ? ", so that the difference may be none" : ""})` : ` (too few datasets for an interval: that takes ${choice.fewest})`;
    const size = mean === 0 ? `Their mean ${measure(metric)} is equal` : `The mean ${measure(metric)} of ${first} is ${show(Math.abs(mean))} ${mean > 0 ? "higher" : "lower"}, which is ${worse(mean) ? "worse" : "better"}`;
    const equal = both.length - wins - losses;
    return `Of the ${plural(both.length, "dataset")} that both have, ${first} is better by ${metric.title} on ${wins}, ${second} on ${losses}${equal ? `, and on ${equal} they are equal` : ""}. ${size}${sure}.`;
  }

  function perDataset(board, choice, maps, a, b) {
    const { k, metric } = choice, show = write(metric);
    const lines = choice.columns.map((i) => [i, scores(a, k).mean[i], scores(b, k).mean[i]]).filter(([, one, other]) => known(one) || known(other));
    const name = (row) => `${rowName(row)} · ${row.completer}`;
    // As short as tells the two apart.
    const short = [rowName, (row) => row.completer, (row) => row.trust].find((of) => of(a) !== of(b)) || name;
    // A value, bold where it is the better one, which leads to the maps where there are some.
    const cell = (row, i, value, better) => {
      const text = el(better ? "strong" : "span", {}, show(value));
      return known(value) && maps[row.id]?.[board.datasets[i].name] ? link(["map", row.id, board.datasets[i].name], text, { "aria-label": `${show(value)}${better ? ", the better one" : ""}: maps of ${name(row)} on ${board.datasets[i].name}` }) : text;
    };
    const mapped = lines.some(([i]) => [a, b].some((row) => maps[row.id]?.[board.datasets[i].name]));
    return table(["Dataset", ...[a, b].map((row) => ({ text: `${metric.title}, ${short(row)}`, tip: `${metric.summary || metric.title}: ${name(row)}.` })), "Difference"], lines.map(([i, one, other]) => {
      const both = known(one) && known(other), order = both ? spared.error(metric, one) - spared.error(metric, other) : 0;
      return [board.datasets[i].counts ? link(["dataset", board.datasets[i].name], board.datasets[i].name) : [el("div", {}, link(["dataset", board.datasets[i].name], board.datasets[i].name)), el("div", { class: "note" }, "does not count")],
        cell(a, i, one, order < 0), cell(b, i, other, order > 0), both ? show(one - other) : none];
    }), `Dataset by dataset, the better value in bold${mapped ? "; a value leads to its maps" : ""}`);
  }

  function costs(a, b) {
    const lines = [["Training", (row) => duration(row.seconds)], ["Trainable parameters", (row) => count(row.parameters)], ["GPU", (row) => capital(spared.choice.gpuSaid(row))], ["Looks at", (row) => row.scope], ["Weights", (row) => row.weights], ["Encoder", (row) => row.cells.encoder?.[0]], ["Trust", (row) => row.trust]];
    return table(["What it takes", ...[a, b].map((row) => ({ text: spared.choose.named(row), tip: spared.choose.named(row) }))], lines.map(([what, of]) => [what, of(a) || none, of(b) || none]).filter(([, one, other]) => one !== none || other !== none), "What each takes");
  }
})();
