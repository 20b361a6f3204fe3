"use strict";
// Figures whose subject are the datasets: how hard each is, what there is, what a completer gains.

(() => {
  const { esc, scores, error, figure, bestOf } = spared;
  const { known, capital } = spared.parts;
  const mean = (v) => v.reduce((a, b) => a + b, 0) / v.length;

  // From the easiest to the hardest: all rows as points, the best of them marked.
  figure("difficulty", ({ board, choice, all }) => {
    const order = choice.counted.map((i) => [i, bestOf(choice, all, i)]).filter(([, best]) => known(best)).sort((a, b) => error(choice.metric, b[1]) - error(choice.metric, a[1]));
    if (order.length < 2) return null;
    const name = (i) => esc(board.datasets[i].name);
    const points = order.flatMap(([i]) => all.map((row) => [scores(row, choice.k).mean[i], name(i), row]).filter(([v]) => known(v)));
    const sorted = points.map(([v]) => v).sort((a, b) => a - b), far = sorted[Math.round(0.98 * (sorted.length - 1))], near = sorted[Math.round(0.02 * (sorted.length - 1))];
    const clip = (v) => choice.metric.better === "higher" ? Math.max(near, v) : Math.min(far, v);
    const cut = points.filter(([v]) => clip(v) !== v).length;
    return [`How hard each dataset is: ${choice.metric.title} of every row, the best marked${cut ? `; triangles: ${cut} beyond the axis` : ""}`, [
      { type: "scatter", mode: "markers", x: points.map(([v]) => clip(v)), y: points.map((p) => p[1]), text: points.map(([v, , row]) => `${esc(spared.rowName(row))} · ${esc(row.completer)}: ${v.toPrecision(4)}`), hoverinfo: "text", marker: { size: 6, opacity: 0.45, color: points.map(([v]) => clip(v) === v ? "#7d8fa0" : "#a4550a"), symbol: points.map(([v]) => clip(v) === v ? "circle" : choice.metric.better === "higher" ? "triangle-left" : "triangle-right") } },
      { type: "scatter", mode: "markers", x: order.map(([, best]) => best), y: order.map(([i]) => name(i)), hoverinfo: "x+y", marker: { size: 10, color: "#aa3377", symbol: "diamond" } },
    ], { showlegend: false, height: Math.max(260, 20 * order.length + 100), xaxis: { title: { text: esc(choice.metric.title) } }, yaxis: { categoryorder: "array", categoryarray: order.map(([i]) => name(i)) } }];
  });

  // What the paper's first figure shows: slides, spots and donors by organ.
  figure("atlas", ({ context, board, choice }) => {
    const organs = new Map();
    for (const i of choice.columns) {
      const c = board.datasets[i];
      if (c.synthetic) continue;
      const name = [c.tissue || "tissue not said", c.organism && `(${c.organism})`].filter(Boolean).join(" ");
      const left = context.prepared[c.name];
      const found = organs.get(name) || { datasets: 0, slides: 0, donors: 0, spots: 0 };
      found.datasets++;
      found.slides += c.slides.length;
      found.donors += new Set(c.slides.map((s) => s.donor || s.slide)).size;
      found.spots += c.n_spots || (left ? Object.values(left.slides).reduce((n, s) => n + s.read, 0) : 0);
      organs.set(name, found);
    }
    const order = [...organs].filter(([, f]) => f.slides).sort((a, b) => a[1].spots - b[1].spots || a[1].slides - b[1].slides);
    if (order.length < 2) return null;
    const key = order.some(([, f]) => f.spots) ? "spots" : "slides";
    return [`What there is, by organ: ${key}; beside the bars datasets, slides, donors`, [{ type: "bar", orientation: "h", x: order.map(([, f]) => f[key]), y: order.map(([name]) => esc(name)), text: order.map(([, f]) => `${f.datasets} · ${f.slides} · ${f.donors}`), textposition: "outside", cliponaxis: false, opacity: 0.75, hoverinfo: "x+y" }],
      { showlegend: false, height: Math.max(240, 26 * order.length + 90), margin: { l: 56, r: 70, t: 16, b: 48 }, xaxis: { title: { text: key } } }];
  });

  // The best of each dataset with and without completion, joined.
  figure("raw", ({ board, choice, all }) => {
    const [raw, completed] = [all.filter((row) => row.completer === "none"), all.filter((row) => row.completer !== "none")];
    const found = choice.columns.filter((i) => !board.datasets[i].synthetic).map((i) => [board.datasets[i].name, bestOf(choice, raw, i), bestOf(choice, completed, i)]).filter(([, a, b]) => known(a) && known(b));
    if (!found.length) return null;
    const joints = found.flatMap(([name, a, b]) => [[a, name], [b, name], [null, name]]);
    const dots = (at, name) => ({ type: "scatter", mode: "markers", name, x: found.map((each) => each[at]), y: found.map((each) => esc(each[0])), marker: { size: 10 } });
    return [`Best ${choice.metric.title} per dataset, trained on raw and on completed targets`, [{ type: "scatter", mode: "lines", x: joints.map((j) => j[0]), y: joints.map((j) => esc(j[1])), line: { width: 1, color: "#999999" }, showlegend: false, hoverinfo: "skip" }, dots(1, "raw"), dots(2, "completed")],
      { xaxis: { title: { text: esc(choice.metric.title) } }, height: Math.max(260, 20 * found.length + 120), legend: { orientation: "h", y: 1.12 } }];
  });

  for (const fact of ["tissue", "task", "organism"]) {
    figure(fact, ({ board, choice, all }) => {
      const groups = new Map();
      for (const i of choice.counted) {
        const value = board.datasets[i][fact], best = bestOf(choice, all, i);
        if (value && known(best)) groups.set(value, [...(groups.get(value) || []), [best, board.datasets[i].name]]);
      }
      if (groups.size < 2) return null;
      const of = ([, v]) => mean(v.map((each) => each[0]));
      const sorted = [...groups].sort((a, b) => error(choice.metric, of(a)) - error(choice.metric, of(b)));
      return [`Best ${choice.metric.title} by ${fact}: each dataset, and their mean`, [
        { type: "scatter", mode: "markers", x: sorted.map(([name]) => esc(name)), y: sorted.map(of), text: sorted.map((each) => `mean ${of(each).toPrecision(4)}`), hoverinfo: "text+x", marker: { symbol: "line-ew-open", size: 26, line: { width: 3 } } },
        { type: "scatter", mode: "markers", x: sorted.flatMap(([name, v]) => v.map(() => esc(name))), y: sorted.flatMap(([, v]) => v.map((each) => each[0])), text: sorted.flatMap(([, v]) => v.map((each) => esc(each[1]))), hoverinfo: "text+y", marker: { size: 8, opacity: 0.7 } },
      ], { showlegend: false, xaxis: { title: { text: capital(fact) } }, yaxis: { title: { text: esc(choice.metric.title) } } }];
    });
  }
})();
