"use strict";
// What completers reach on measured entries that were hidden from them.

(() => {
  const { el, esc, colours: COLOURS } = spared;
  const { known, coded } = spared.parts;
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
  const FEWEST = 5; // points of a violin

  spared.views.completion = async ({ protocol }, view) => {
    const results = await spared.ofProtocol(protocol, "completion");
    if (!results.length) {
      return view.replaceChildren(el("h2", {}, "Completion"), el("p", { class: "banner" }, coded("The completion benchmark has not been run under this protocol: `spared-bench complete DATASET` hides measured entries, completes them and scores what comes back.")));
    }
    const datasets = [...new Set(results.map((r) => r.dataset))], completers = [...new Set(results.map((r) => r.completer))];
    const text = (m, s, show) => known(m) ? show(m) + (known(s) ? ` ± ${show(s)}` : "") : spared.none;
    const [violins, curve] = [el("div", { class: "plot" }), el("div", { class: "plot" })];
    view.replaceChildren(el("h2", {}, "Completion"), spared.choose.everything(spared.state().params), el("p", {}, coded("Measured entries are hidden, completed and compared: mean ± standard deviation over masks. By the rule `fraction` the rate is the share of all entries that is hidden; by `prob_median` as many are hidden as were missing.")),
      el("div", { class: "grid" }, violins, curve),
      ...datasets.map((dataset) => spared.table(["Completer", "Rule", "Rate", "MSE", "PCC", "Masks", "Parameters", "Fit"], results.filter((r) => r.dataset === dataset).sort((a, b) => a.rule.localeCompare(b.rule) || a.rate - b.rate || (a.mse ?? Infinity) - (b.mse ?? Infinity)).map((r) => [r.completer, r.rule, r.rule === "fraction" ? r.rate : spared.none, text(r.mse, r.mse_sd, spared.score), text(r.pcc, r.pcc_sd, spared.fixed), r.masks, spared.count(r.parameters), spared.duration(r.seconds)]), `${dataset} (${results.find((r) => r.dataset === dataset).split} slides)`)));
    await spared.plot(violins, "MSE of completed entries over datasets and conditions", completers.map((c) => [c, results.filter((r) => r.completer === c && known(r.mse)).map((r) => r.mse)]).map(([c, y]) => y.length < FEWEST ? { type: "scatter", mode: "markers", name: esc(c), x: y.map(() => esc(c)), y } : { type: "violin", name: esc(c), x: y.map(() => esc(c)), y, points: "all", pointpos: 0, meanline: { visible: true }, spanmode: "hard" }), { showlegend: false, yaxis: { title: { text: "MSE" }, type: "log" } });
    const curves = completers.flatMap((c) => datasets.map((d) => [c, d, results.filter((r) => r.completer === c && r.dataset === d && r.rule === "fraction").sort((a, b) => a.rate - b.rate)])).filter(([, , v]) => v.length);
    if (curves.length) await spared.plot(curve, "MSE by the share of hidden entries", curves.map(([c, d, v]) => ({ type: "scatter", mode: "lines+markers", line: { color: COLOURS[completers.indexOf(c) % COLOURS.length], dash: DASHES[datasets.indexOf(d) % DASHES.length] }, legendgroup: c, name: esc(datasets.length > 1 ? `${c}, ${d}` : c), x: v.map((r) => r.rate), y: v.map((r) => r.mse), error_y: { type: "data", array: v.map((r) => r.mse_sd ?? 0) } })), { xaxis: { title: { text: "share of all entries hidden" } }, yaxis: { title: { text: "MSE" }, type: "log" } });
    else curve.remove();
  };
})();
