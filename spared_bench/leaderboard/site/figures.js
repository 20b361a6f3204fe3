"use strict";
// Figures of the rows that the filters leave: errors, wins, cost, what completion changes.

(() => {
  const { el, esc, rowName, scores, extreme, measure, count, duration } = spared;
  const { known, capital, plural } = spared.parts;
  const MOST = 30, FEWEST = 5, Z = 1.959963984540054;
  spared.figures = [];

  const label = (row) => esc(`${rowName(row)} · ${row.completer}`);
  const bestOf = (choice, rows, i) => spared.best(choice.metric, rows.map((row) => scores(row, choice.k).mean[i]));
  const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;
  const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))];
  const figure = (name, draw, wide = false) => spared.figures.push({ name, draw, wide });

  spared.views.figures = async (context, view) => {
    const { board } = context;
    const choice = spared.choice.select(board, spared.state().params);
    const rows = [...choice.rows].filter((row) => known(choice.of(row).overall)).sort((a, b) => choice.err(a) - choice.err(b));
    const competing = rows.filter((row) => !row.control && row.withdrawn === null);
    const shown = competing.slice(0, MOST);
    const given = { context, board, choice, rows: shown, all: competing };
    const grid = el("div", { class: "grid" });
    view.replaceChildren(el("h2", {}, "Figures"), el("p", {}, `Of the ${plural(competing.length, "row")} that the filters leave, controls aside${competing.length > MOST ? `; where rows are named, of the ${MOST} best` : ""}. The numbers are in the ranking and its downloads.`), grid);
    for (const { draw, wide } of spared.figures) {
      const drawn = await draw(given);
      if (!drawn) continue;
      const box = el("div", { class: `plot${wide ? " wide" : ""}` });
      grid.append(box);
      if (drawn instanceof Node) box.append(drawn); else await spared.plot(box, ...drawn);
    }
  };

  // Beyond this an axis is cut, and what lies there is marked at its edge.
  function cut(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const [q1, q3] = [quantile(sorted, 0.25), quantile(sorted, 0.75)];
    const high = q3 + 3 * (q3 - q1), low = q1 - 3 * (q3 - q1);
    return [Math.max(low, sorted[0]), Math.min(high, sorted[sorted.length - 1])];
  }

  // Every dataset of each row; a violin from five of them on.
  figure("errors", ({ board, choice, rows }) => {
    const points = rows.map((row) => choice.counted.map((i) => [choice.values(row)[i], board.datasets[i].name]).filter(([v]) => known(v)));
    const every = points.flat().map(([v]) => v);
    if (!every.length) return null;
    const [low, high] = cut(every), names = rows.map(label);
    const inside = points.map((some) => some.filter(([v]) => v >= low && v <= high));
    const far = points.flatMap((some, n) => some.filter(([v]) => v < low || v > high).map(([v, name]) => [v > high ? high : low, names[n], `${name}: ${v.toPrecision(4)}`, v > high]));
    const traces = inside.map((some, n) => some.length < FEWEST
      ? { type: "scatter", mode: "markers", x: some.map(([v]) => v), y: some.map(() => names[n]), text: some.map(([, name]) => esc(name)), hoverinfo: "text+x", marker: { size: 7, color: spared.colours[0] } }
      : { type: "violin", orientation: "h", x: some.map(([v]) => v), y: some.map(() => names[n]), text: some.map(([, name]) => esc(name)), points: "all", pointpos: 0, jitter: 0.3, meanline: { visible: true }, spanmode: "hard", marker: { size: 3 }, line: { color: spared.colours[0] }, width: 0.9 });
    traces.push({ type: "scatter", mode: "markers", x: points.map((some) => some.length ? Math.max(low, Math.min(high, mean(some.map(([v]) => v)))) : null), y: names, text: points.map((some) => some.length ? `mean ${mean(some.map(([v]) => v)).toPrecision(4)}` : ""), hoverinfo: "text", marker: { symbol: "line-ns-open", size: 14, color: "#aa3377", line: { width: 2 } } });
    if (far.length) traces.push({ type: "scatter", mode: "markers", x: far.map((f) => f[0]), y: far.map((f) => f[1]), text: far.map((f) => esc(f[2])), hoverinfo: "text", cliponaxis: false, marker: { symbol: far.map((f) => f[3] ? "triangle-right" : "triangle-left"), size: 11, color: "#a4550a" } });
    return [`${capital(measure(choice.metric))}: each dataset a point, the bar its mean${far.length ? `; triangles: ${far.length} beyond the axis` : ""}`, traces, { showlegend: false, height: Math.max(260, 24 * rows.length + 90), xaxis: { title: { text: esc(measure(choice.metric)) }, range: [low - 0.03 * (high - low || 1), high + 0.03 * (high - low || 1)] }, yaxis: { autorange: "reversed", categoryorder: "array", categoryarray: names } }];
  }, true);

  // Wilson's interval of a share of n; ties share a win, so that it may be no whole number.
  function wilson(wins, n) {
    const p = wins / n, z2 = Z * Z / n;
    const half = (Z / (1 + z2)) * Math.sqrt(p * (1 - p) / n + z2 / (4 * n)), centre = (p + z2 / 2) / (1 + z2);
    return [Math.max(0, centre - half), Math.min(1, centre + half)];
  }
  spared.wilson = wilson;

  figure("wins", ({ choice, all }) => {
    const wins = new Map();
    let n = 0;
    for (const i of choice.counted) {
      const best = bestOf(choice, all, i);
      if (!known(best)) continue;
      n++;
      const winners = all.filter((row) => scores(row, choice.k).mean[i] === best);
      for (const row of winners) wins.set(row, (wins.get(row) || 0) + 1 / winners.length);
    }
    if (wins.size < 2 && n < 2) return null;
    const order = [...wins].sort((a, b) => a[1] - b[1]).slice(-15);
    const bounds = order.map(([, w]) => wilson(w, n)), share = order.map(([, w]) => w / n), drawn = n >= choice.fewest;
    return [`Share of the ${plural(n, "dataset")} with the ${extreme(choice.metric)} ${choice.metric.title}${drawn ? ", with 95 % intervals" : "; too few of them for an interval"}`, [{ type: "bar", orientation: "h", x: share, y: order.map(([row]) => label(row)), text: order.map(([, w]) => Number(w.toFixed(2)).toString()), textposition: "inside", hoverinfo: "x+y", opacity: 0.75, ...(drawn ? { error_x: { type: "data", symmetric: false, array: bounds.map(([, b], k) => b - share[k]), arrayminus: bounds.map(([a], k) => share[k] - a), thickness: 1.5, color: spared.ink() } } : {}) }],
      { showlegend: false, height: Math.max(240, 26 * order.length + 90), xaxis: { range: [0, 1], tickformat: ".0%", title: { text: "share of datasets won; ties share" } } }];
  });

  for (const [key, write] of [["seconds", duration], ["parameters", count]]) {
    figure(key, ({ choice, all }) => {
      const chart = spared.cost.chart(choice, all, key);
      if (!chart) return null;
      return el("div", {}, el("p", { class: "plot-title" }, `${capital(measure(choice.metric))} against ${spared.cost.KINDS[key][0]}`), chart, spared.cost.legend(chart, choice.metric));
    });
  }

  // The same method trained on raw and on completed targets: a line for each, over the datasets
  // that both have.
  figure("completed", ({ board, choice, all }) => {
    const name = (row) => JSON.stringify([row.trust, row.method, row.version, row.predictor]);
    const raw = new Map(all.filter((row) => row.completer === "none").map((row) => [name(row), row]));
    const pairs = all.filter((row) => row.completer !== "none" && raw.has(name(row))).map((row) => {
      const other = raw.get(name(row)), both = choice.counted.filter((i) => known(choice.values(row)[i]) && known(choice.values(other)[i]));
      return both.length ? [row, mean(both.map((i) => choice.values(other)[i])), mean(both.map((i) => choice.values(row)[i])), both.length] : null;
    }).filter(Boolean);
    if (!pairs.length) return null;
    const completers = [...new Set(pairs.map(([row]) => row.completer))];
    const worse = (before, after) => choice.metric.normalised || choice.metric.better !== "higher" ? after > before : after < before;
    const traces = pairs.map(([row, before, after, n]) => ({ type: "scatter", mode: "lines+markers", x: ["raw", esc(row.completer)].map((c, end) => `${esc(row.completer)}: ${end ? "completed" : "raw"}`), y: [before, after], name: label(row), hoverinfo: "text", text: [before, after].map((v) => `${label(row)}: ${v.toPrecision(4)}, ${plural(n, "dataset")}`), line: { width: 1.5, color: worse(before, after) ? "#c05a4a" : "#3a7ca5" }, marker: { size: 6 } }));
    return [`Trained on raw and on completed targets, each method a line (blue: better when completed)`, traces, { showlegend: false, height: 380, xaxis: { categoryorder: "array", categoryarray: completers.flatMap((c) => [`${esc(c)}: raw`, `${esc(c)}: completed`]) }, yaxis: { title: { text: esc(`mean ${measure(choice.metric)}`) } } }];
  });

  spared.figure = figure;
  spared.bestOf = bestOf;
})();
