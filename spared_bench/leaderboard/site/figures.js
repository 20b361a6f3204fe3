"use strict";
// The figures of the paper, of the rows that the filters leave; plotly is read when one is looked at.

(() => {
  const { el, esc, rowName, scores, error, extreme, measure } = spared;
  const known = (v) => v !== null && v !== undefined;
  const MOST = 30;
  const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866", "#44bb99", "#99ddff"];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];

  spared.plot = async (node, title, traces, layout = {}) => {
    const inner = el("div", { role: "img", "aria-label": title });
    node.replaceChildren(el("p", { class: "plot-title" }, title), inner);
    await spared.script(`${document.documentElement.dataset.assets}/plotly.min.js`);
    if (!node.isConnected) return;
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim(), line = style.getPropertyValue("--line").trim();
    const axis = (given = {}) => ({ gridcolor: line, zerolinecolor: line, automargin: true, ...given });
    await Plotly.newPlot(inner, traces, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 12 }, colorway: COLOURS,
      margin: { l: 56, r: 16, t: 16, b: 48 }, height: 340, ...layout,
      xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
    }, { displaylogo: false, responsive: true, displayModeBar: false });
  };

  const label = (row) => esc(`${rowName(row)} · ${row.completer}`);
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
  const bestOf = (choice, rows, i) => spared.best(choice.metric, rows.map((row) => scores(row, choice.k).mean[i]));
  const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;
  const sd = (v) => v.length > 1 ? Math.sqrt(v.reduce((a, b) => a + (b - mean(v)) ** 2, 0) / (v.length - 1)) : null;

  spared.views.figures = async ({ board }, view) => {
    const choice = spared.ranking.select(board, spared.state().params);
    const rows = [...choice.rows].filter((row) => known(choice.of(row).overall)).sort((a, b) => choice.err(a) - choice.err(b));
    const competing = rows.filter((row) => !row.control && row.withdrawn === null);
    const boxes = Array.from({ length: 8 }, () => el("div", { class: "plot" }));
    view.replaceChildren(el("h2", {}, "Figures"), el("p", {}, `Of the ${rows.length} rows that the filters leave${rows.length > MOST ? `, the ${MOST} best` : ""}. The numbers are in the ranking and its downloads.`), el("div", { class: "grid" }, boxes));
    const drawings = [violin, pie, (b, c, r) => cost(b, c, r, "parameters", "Trainable parameters"), (b, c, r) => cost(b, c, r, "seconds", "Training time, s"), rawToCompleted,
      (b, c, r) => byFact(b, c, r, "tissue"), (b, c, r) => byFact(b, c, r, "task"), (b, c, r) => byFact(b, c, r, "organism")];
    for (const [i, drawing] of drawings.entries()) {
      const drawn = drawing(board, choice, i === 1 || i >= 4 ? competing : rows.slice(0, MOST));
      if (drawn) { if (i === 0) boxes[0].classList.add("wide"); await spared.plot(boxes[i], ...drawn); } else boxes[i].remove();
    }
  };

  function violin(board, choice, rows) {
    if (!rows.length || !choice.counted.length) return null;
    const values = rows.map((row) => choice.counted.map((i) => choice.values(row)[i]).filter(known));
    return [`${capital(measure(choice.metric))} over datasets; above: mean ± standard deviation`, rows.map((row, k) => ({ type: "violin", y: values[k], name: label(row), points: "all", pointpos: 0, jitter: 0.3, meanline: { visible: true }, spanmode: "hard", marker: { size: 4 } })), {
      showlegend: false, yaxis: { title: { text: esc(measure(choice.metric)) } }, xaxis: { tickangle: -40 },
      annotations: rows.map((row, k) => ({ x: label(row), y: 1.02, yref: "paper", yanchor: "bottom", showarrow: false, textangle: -90, font: { size: 9 }, text: `${mean(values[k]).toFixed(2)}${known(sd(values[k])) ? ` ± ${sd(values[k]).toFixed(2)}` : ""}` })),
      margin: { l: 56, r: 16, t: 80, b: 120 }, height: 500,
    }];
  }

  function pie(board, choice, rows) {
    const wins = new Map();
    for (const i of choice.counted) {
      const best = bestOf(choice, rows, i);
      const winners = known(best) ? rows.filter((row) => scores(row, choice.k).mean[i] === best) : [];
      for (const row of winners) wins.set(label(row), (wins.get(label(row)) || 0) + 1 / winners.length);
    }
    if (!wins.size) return null;
    return [`Share of datasets with the ${extreme(choice.metric)} ${choice.metric.title}`, [{ type: "pie", labels: [...wins.keys()], values: [...wins.values()], textinfo: "value+percent", sort: true }]];
  }

  function cost(board, choice, rows, key, title) {
    const seen = rows.filter((row) => row[key] > 0);
    if (!seen.length) return null;
    return [`Mean ${measure(choice.metric)} against ${title.toLowerCase()}`, [{ type: "scatter", mode: seen.length > 15 ? "markers" : "markers+text", x: seen.map((row) => row[key]), y: seen.map((row) => choice.of(row).overall), text: seen.map((row) => label(row)), hoverinfo: "text+x+y", textposition: "top center", textfont: { size: 9 }, marker: { size: 9 }, cliponaxis: false }],
      { xaxis: { type: "log", title: { text: title } }, yaxis: { title: { text: esc(`mean ${measure(choice.metric)}`) } } }];
  }

  function rawToCompleted(board, choice, rows) {
    const best = (some, i) => bestOf(choice, some, i);
    const [raw, completed] = [rows.filter((row) => row.completer === "none"), rows.filter((row) => row.completer !== "none")];
    const found = choice.columns.filter((i) => !board.datasets[i].synthetic).map((i) => [board.datasets[i].name, best(raw, i), best(completed, i)]).filter(([, a, b]) => known(a) || known(b));
    if (!found.length) return null;
    const joints = found.flatMap(([name, a, b]) => known(a) && known(b) ? [[a, name], [b, name], [null, name]] : []);
    const dots = (at, name) => ({ type: "scatter", mode: "markers", name, x: found.map((each) => each[at]), y: found.map((each) => esc(each[0])), marker: { size: 10 } });
    return [`Best ${choice.metric.title} per dataset, trained on raw and on completed targets`, [{ type: "scatter", mode: "lines", x: joints.map((j) => j[0]), y: joints.map((j) => esc(j[1])), line: { width: 1, color: "#999999" }, showlegend: false, hoverinfo: "skip" }, dots(1, "raw"), dots(2, "completed")],
      { xaxis: { title: { text: esc(choice.metric.title) } }, height: Math.max(320, 20 * found.length + 120), legend: { orientation: "h", y: 1.08 } }];
  }

  function byFact(board, choice, rows, fact) {
    const groups = new Map();
    for (const i of choice.counted) {
      const value = board.datasets[i][fact];
      const best = bestOf(choice, rows, i);
      if (value && known(best)) groups.set(value, [...(groups.get(value) || []), [best, board.datasets[i].name]]);
    }
    if (!groups.size) return null;
    const sorted = [...groups].sort((a, b) => error(choice.metric, mean(a[1].map((v) => v[0]))) - error(choice.metric, mean(b[1].map((v) => v[0]))));
    return [`Best ${choice.metric.title} by ${fact}: mean, and each dataset`, [
      { type: "bar", x: sorted.map(([name]) => esc(name)), y: sorted.map(([, v]) => mean(v.map((each) => each[0]))), opacity: 0.5, hoverinfo: "x+y" },
      { type: "scatter", mode: "markers", x: sorted.flatMap(([name, v]) => v.map(() => esc(name))), y: sorted.flatMap(([, v]) => v.map((each) => each[0])), text: sorted.flatMap(([, v]) => v.map((each) => esc(each[1]))), hoverinfo: "text+y", marker: { size: 8 } },
    ], { showlegend: false, yaxis: { title: { text: esc(choice.metric.title) } } }];
  }

  spared.views.completion = async ({ protocol }, view) => {
    const results = await spared.ofProtocol(protocol, "completion");
    if (!results.length) {
      return view.replaceChildren(el("h2", {}, "Completion"), el("p", { class: "banner" }, "The completion benchmark has not been run under this protocol: `spared-bench complete DATASET` hides measured entries, completes them and scores what comes back."));
    }
    const datasets = [...new Set(results.map((r) => r.dataset))], completers = [...new Set(results.map((r) => r.completer))];
    const text = (m, s, show) => known(m) ? show(m) + (known(s) ? ` ± ${show(s)}` : "") : spared.none;
    const [violins, curve] = [el("div", { class: "plot" }), el("div", { class: "plot" })];
    view.replaceChildren(el("h2", {}, "Completion"), el("p", {}, "Measured entries are hidden, completed and compared: mean ± standard deviation over masks. By the rule `fraction` the rate is the share of all entries that is hidden; by `prob_median` as many are hidden as were missing."),
      el("div", { class: "grid" }, violins, curve),
      ...datasets.map((dataset) => spared.table(["Completer", "Rule", "Rate", "MSE", "PCC", "Masks", "Parameters", "Fit"], results.filter((r) => r.dataset === dataset).sort((a, b) => a.rule.localeCompare(b.rule) || a.rate - b.rate || (a.mse ?? Infinity) - (b.mse ?? Infinity)).map((r) => [r.completer, r.rule, r.rule === "fraction" ? r.rate : spared.none, text(r.mse, r.mse_sd, spared.score), text(r.pcc, r.pcc_sd, spared.fixed), r.masks, spared.count(r.parameters), spared.duration(r.seconds)]), `${dataset} (${results.find((r) => r.dataset === dataset).split} slides)`)));
    await spared.plot(violins, "MSE of completed entries over datasets and conditions", completers.map((c) => ({ type: "violin", name: esc(c), y: results.filter((r) => r.completer === c && known(r.mse)).map((r) => r.mse), points: "all", pointpos: 0, meanline: { visible: true }, spanmode: "hard" })), { showlegend: false, yaxis: { title: { text: "MSE" }, type: "log" } });
    const curves = completers.flatMap((c) => datasets.map((d) => [c, d, results.filter((r) => r.completer === c && r.dataset === d && r.rule === "fraction").sort((a, b) => a.rate - b.rate)])).filter(([, , v]) => v.length);
    if (curves.length) await spared.plot(curve, "MSE by the share of hidden entries", curves.map(([c, d, v]) => ({ type: "scatter", mode: "lines+markers", line: { color: COLOURS[completers.indexOf(c) % COLOURS.length], dash: DASHES[datasets.indexOf(d) % DASHES.length] }, legendgroup: c, name: esc(datasets.length > 1 ? `${c}, ${d}` : c), x: v.map((r) => r.rate), y: v.map((r) => r.mse), error_y: { type: "data", array: v.map((r) => r.mse_sd ?? 0) } })), { xaxis: { title: { text: "share of all entries hidden" } }, yaxis: { title: { text: "MSE" }, type: "log" } });
    else curve.remove();
  };
})();
