"use strict";
// What the tests say: coverage, which test can speak, ranks, matrices, completion, the paper's view.

(() => {
  const { el, score, p, table, rowName, none } = spared;
  const { plural } = spared.parts;
  const SVG = "http://www.w3.org/2000/svg";
  function svg(tag, attributes, text) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  const MOST_NAME = 48, FEWEST = 5;
  const pen = document.createElement("canvas").getContext("2d");
  // Demsar's diagram: ranks on an axis, bars over methods that cannot be told apart.
  function diagram(found, label) {
    const names = [...found.pairs].sort((a, b) => found.pairwise_ranks[a] - found.pairwise_ranks[b]);
    const k = names.length, half = Math.ceil(k / 2);
    const named = (name) => { const text = label(name); return `${text.length > MOST_NAME ? `${text.slice(0, MOST_NAME - 1)}…` : text} ${found.pairwise_ranks[name].toFixed(2)}`; };
    // As much room on each side as its longest name needs.
    pen.font = `12px ${getComputedStyle(document.body).fontFamily}`; // as .cd of the style
    const room = (some) => Math.max(120, 24 + Math.ceil(Math.max(0, ...some.map((name) => pen.measureText(named(name)).width))));
    const left = room(names.slice(0, half)), right = room(names.slice(half)), wide = Math.max(760, left + right + 320);
    const bars = found.cliques.length, top = 50 + 9 * bars, tall = top + 20 * (half + 1) + 10;
    const x = (rank) => left + (wide - left - right) * (rank - 1) / Math.max(1, k - 1);
    const root = svg("svg", { viewBox: `0 0 ${wide} ${tall}`, class: "cd", role: "img", "aria-label": `Critical-difference diagram: average ranks ${names.map((n) => `${label(n)} ${found.pairwise_ranks[n].toFixed(2)}`).join(", ")}; critical difference ${found.critical_difference.toFixed(2)}` });
    root.append(svg("line", { x1: left, x2: wide - right, y1: 30, y2: 30 }));
    for (let r = 1; r <= k; r += Math.ceil(k / 12)) root.append(svg("line", { x1: x(r), x2: x(r), y1: 26, y2: 34 }), svg("text", { x: x(r), y: 20, "text-anchor": "middle" }, r));
    root.append(svg("text", { x: 4, y: 12 }, `critical difference ${found.critical_difference.toFixed(2)}`));
    names.forEach((name, i) => {
      const first = i < half, y = top + 20 * (first ? i : k - 1 - i) + 10, at = x(found.pairwise_ranks[name]);
      root.append(svg("polyline", { points: `${at},30 ${at},${y} ${first ? left - 8 : wide - right + 8},${y}`, fill: "none" }));
      root.append(svg("text", { x: first ? left - 12 : wide - right + 12, y: y + 4, "text-anchor": first ? "end" : "start" }, named(name)));
    });
    found.cliques.forEach((group, i) => {
      const ranks = group.map((name) => found.pairwise_ranks[name]);
      root.append(svg("line", { x1: x(Math.min(...ranks)) - 4, x2: x(Math.max(...ranks)) + 4, y1: 42 + 9 * i, y2: 42 + 9 * i, class: "clique" }));
    });
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Critical-difference diagram" }, root);
  }

  // What a square of methods says, since rows and columns look alike.
  const READING = {
    p: "How to read it: every row and every column is a method; the cell where they meet tells the two apart. It is a p value: small where a difference as large as theirs would seldom come about by chance alone. Shaded are those below 0.05; a large one does not say that the two are equal.",
    effect: "How to read it: every row and every column is a method; the cell where they meet compares the two. It is a size, not a p value: 1, the method of the row is better on all datasets; −1, that of the column; 0, neither. Shaded are those of 0.5 or more, in either direction.",
  };
  const reading = (effect) => el("p", { class: "note" }, READING[effect ? "effect" : "p"]);

  function matrix(names, values, effect, caption) {
    const cell = (v, same) => same ? "" : v === null ? none : effect ? v.toFixed(2) : p(v);
    const strong = (v) => v !== null && (effect ? Math.abs(v) >= 0.5 : v < 0.05);
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, el("table", { class: "plain matrix" },
      el("caption", {}, el("span", {}, caption)), el("thead", {}, el("tr", {}, el("td", {}, "row against column"), names.map((n) => el("th", { scope: "col" }, n)))),
      el("tbody", {}, names.map((n, i) => el("tr", {}, el("th", { scope: "row" }, n), names.map((_, j) => el("td", { class: i === j ? "same" : strong(values[i][j]) ? "strong" : "", title: i === j ? null : `${n} against ${names[j]}` }, cell(values[i][j], i === j))))))));
  }

  spared.views.statistics = async (context, view) => {
    const { board, protocol } = context;
    const params = spared.state().params;
    const k = spared.metricIndex(board, params), metric = spared.metricAt(board, k);
    if (!board.metrics.length) return view.replaceChildren(el("h2", {}, "Statistics"), el("p", { class: "banner" }, "There is nothing to compare."));
    const data = await spared.ofProtocol(protocol, `statistics-${k}`);
    const index = Math.max(0, data.comparisons.findIndex((each) => each.completer === params.get("completer")));
    view.replaceChildren(el("h2", {}, "Statistics"), spared.choose.everything(params), el("div", { class: "controls" }, spared.chooseMetric(board, ["statistics"])), el("p", {}, errors(metric)), ...(data.comparisons.length ? comparison(board, data, index, params) : [el("p", { class: "banner" }, "There is nothing to compare.")]),
      ...completion(data.completers, metric), ...published(data.published, metric, data.tests.find((each) => each.name === "dunn")));
  };

  const errors = (metric) => metric.perfect === 0 ? `Errors are those of ${metric.title}.`
    : metric.normalised ? `Errors are distances of ${metric.title} from ${metric.perfect}, which a perfect prediction reaches.`
    : `${metric.title} has no perfect value: what is called an error is the value itself, ${metric.better} being better, and a normalised one is how far it is from the best.`;

  // What the tests of pairs are called where it is said what they can find.
  const REACH = { wilcoxon: "Wilcoxon with Holm", nemenyi: "Nemenyi" };

  function comparison(board, data, index, params) {
    const found = data.comparisons[index];
    const label = (place) => { const row = board.rows[Number(place)]; return rowName(row) + (found.completer ? "" : ` · ${row.completer}`); };
    const test = data.tests.find((each) => each.name === params.get("test")) || data.tests[0];
    const change = (key) => (event) => { const next = spared.state().params; next.set(key, event.target.value); spared.replaceState(["statistics"], next); spared.render().then(() => document.getElementById(`choose-${key}`)?.focus()); };
    const choose = (key, text, options, chosen) => el("label", {}, `${text} `, el("select", { id: `choose-${key}`, onchange: change(key) }, options.map(([value, shown]) => el("option", { value, selected: value === chosen }, shown))));
    const left = Object.entries(found.methods_left_out);
    const silent = found.reach.filter((each) => !each.speaks);
    const friedman = found.friedman;
    // What no number of agreeing datasets of this many could show lies in a fold.
    const mute = (name) => silent.some((each) => each.test === REACH[name]);
    const folded = (name, what, ...inner) => mute(name) ? [el("details", { class: "mute" }, el("summary", {}, what), ...inner)] : inner;
    const few = found.n_datasets < FEWEST ? ` That is of ${plural(found.n_datasets, "dataset")}: a small p says that they order these rows alike, and hardly anything of other datasets.` : "";
    const some = found.pairs && found.pairs.length < found.n_methods;
    return [
      el("div", { class: "controls" }, choose("completer", "Compare", data.comparisons.map((each) => [each.completer, each.completer || "all rows"]), found.completer)),
      el("p", {}, `${plural(found.n_methods, "row")} on ${found.n_datasets} of ${plural(found.total, "dataset")}: only datasets that all of them have. Seeds are averaged first; controls and withdrawn entries take no part.`),
      left.length ? el("p", {}, `Left out, lacking datasets: ${left.map(([place, n]) => `${label(place)} (${n} of ${found.total})`).join(", ")}. A row stays that has half of them; an entry of others may have to have all, so that it takes none from rows that do.`) : "",
      found.datasets_left_out.length ? el("p", {}, `Left out, lacking a row: ${found.datasets_left_out.join(", ")}.`) : "",
      silent.length ? el("p", { class: "banner" }, `With ${found.n_datasets} dataset${found.n_datasets === 1 ? "" : "s"}, ${silent.map((each) => `${each.test} cannot speak: its smallest possible p is ${p(each.smallest_p)}`).join("; ")}.`) : "",
      el("h3", {}, "Is there any difference?"),
      friedman.p === null ? el("p", {}, "Friedman’s test is undefined here: it needs two datasets and three rows that differ.")
        : el("p", {}, `Friedman: χ² = ${friedman.statistic.toFixed(2)}, p = ${p(friedman.p)}. Iman-Davenport: F = ${friedman.f_statistic === null ? "infinite, p = 0 (all datasets agree; see the smallest p above)" : `${friedman.f_statistic.toFixed(2)}, p = ${p(friedman.f_p)}`}.${few}`),
      table(["Row", "Average rank", "Datasets won", "Share"], Object.entries(found.ranks).sort((a, b) => a[1] - b[1]).map(([place, rank]) => [label(place), rank === null ? none : rank.toFixed(2), score(found.wins[place]).replace(/\.000$/, ""), found.total ? `${(100 * found.wins[place] / found.total).toFixed(0)} %` : none]), "Average ranks and wins; ties share a win"),
      ...(found.pairs ? [
        el("h3", {}, "Critical differences"),
        el("p", {}, `Average ranks; a bar joins rows that Nemenyi’s test cannot tell apart at 5 %.${some ? ` Drawn are the ${found.pairs.length} best of ${found.n_methods}, ranked again among themselves: their ranks are not those of the table above.` : ""}${mute("nemenyi") ? ` Here it can tell no two apart: the critical difference, ${found.critical_difference.toFixed(2)}, is more than two average ranks can differ, ${found.pairs.length - 1}.` : ""}`),
        ...folded("nemenyi", "The diagram all the same", diagram(found, label)),
        el("h3", {}, "Pairs"),
        el("div", { class: "controls" }, choose("test", "Test", data.tests.map((each) => [each.name, each.title]), test.name)),
        el("p", {}, test.explanation, mute(test.name) ? ` With ${plural(found.n_datasets, "dataset")} none of its p values can be below 0.05.` : ""),
        ...folded(test.name, "The p values all the same", reading(test.effect), matrix(found.pairs.map(label), found.matrices[test.name], test.effect, `${test.title}${some ? ` of the ${found.pairs.length} best` : ""}`)),
      ] : []),
    ];
  }

  function completion(completers, metric) {
    if (!completers.length) return [];
    return [el("h3", {}, "Raw against completed"), el("p", {}, "The same method, datasets and seeds, trained on raw and on completed targets: paired by dataset, Wilcoxon of their normalised errors, corrected by Holm over the methods."),
      ...completers.map(({ completer, methods }) => table(["Method", "Datasets", "Better", `Median change of the error by ${metric.title}`, "p", "Effect"], methods.map((m) => [m.method, m.n_datasets, m.better, m.median_change === null ? none : `${(100 * m.median_change).toFixed(1)} %`, p(m.p), m.effect === null ? none : m.effect.toFixed(2)]), `none → ${completer}`))];
  }

  function published(found, metric, dunn) {
    if (!found) return [];
    const rows = Object.entries(found.all.mean).sort((a, b) => a[1] - b[1]);
    return [el("h3", {}, "As published"), el("p", {}, `Reported rows over all measured datasets, those that repeat others’ slides included, as their authors average.${found.hardest ? ` Hardest by best ${metric.title}: ${found.hardest[0]} (${spared.write(metric)(found.hardest[1])}); easiest: ${found.easiest[0]} (${spared.write(metric)(found.easiest[1])}).` : ""}`),
      found.suspect.length ? el("p", { class: "banner" }, `Cells that are probably copied: ${found.suspect.map(([d, m]) => `${m} on ${d}`).join(", ")}. The last two columns leave them out.`) : "",
      table(["Method", "Datasets", `Mean norm. ${metric.error}`, "Wins", "without suspects: mean", "wins"], rows.map(([name, mean]) => [name, found.all.datasets[name], score(mean), found.all.wins[name], score(found.without_suspect.mean[name]), found.without_suspect.wins[name]]), "The published table"),
      table(["Dataset", `Best by ${metric.title}`], Object.entries(found.best), "The best method of each dataset"),
      el("p", {}, dunn.explanation), reading(false), matrix(found.dunn.methods, found.dunn.p, false, "Dunn’s test of the reported rows")];
  }
})();
