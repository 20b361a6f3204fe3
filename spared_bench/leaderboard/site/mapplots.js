"use strict";
// Below the maps: a gene measured against predicted, and where it stands among the others.

spared.mapPlots = (() => {
  const { known } = spared.parts;
  const MOST_POINTS = 2000;

  return async (scatter, histogram, { measured, predicted, metric, values, geneName, at }) => {
    const both = measured.map((v, i) => [v, predicted[i]]).filter(([a, b]) => a !== null && b !== null);
    const kept = both.filter((_, i) => i % Math.ceil(both.length / MOST_POINTS) === 0);
    const ends = kept.length ? [Math.min(...kept.flat()), Math.max(...kept.flat())] : [0, 1];
    // The maps are painted first.
    await new Promise((resolve) => setTimeout(resolve, 60));
    if (!scatter.isConnected) return;
    spared.plot(scatter, `Measured against predicted ${geneName}, measured spots of this slide`, [
      { type: "scatter", mode: "markers", x: kept.map((v) => v[0]), y: kept.map((v) => v[1]), marker: { size: 5, opacity: 0.7, color: spared.accent() }, name: "spots" },
      { type: "scatter", mode: "lines", x: ends, y: ends, line: { dash: "dot", width: 1 }, name: "equal" },
    ], { xaxis: { title: { text: "measured" } }, yaxis: { title: { text: "predicted" } }, showlegend: false });
    const finite = values.filter(known);
    if (!finite.length) { histogram.remove(); return; }
    spared.plot(histogram, `${metric.title} of ${finite.length === 1 ? "the only gene" : `each of ${finite.length} genes`}; the line is ${geneName}`, [{ type: "histogram", x: finite, ...(metric.comparable ? { xbins: { size: 0.05 } } : {}) }], {
      xaxis: { title: { text: spared.esc(`${metric.title} of a gene`) } }, yaxis: { title: { text: "genes" } }, bargap: 0.05,
      shapes: known(at) ? [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { width: 2, dash: "dash", color: spared.ink() } }] : [],
    });
  };
})();
