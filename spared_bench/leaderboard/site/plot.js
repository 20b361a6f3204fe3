"use strict";
// A chart of plotly.js, which is read when the first is looked at.

(() => {
  const { el } = spared;
  const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#ee8866", "#44bb99", "#99ddff"];

  const NARROW = 480; // px
  const styled = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // The colour of lines and texts, in light and in dark.
  spared.ink = () => styled("--ink");
  spared.accent = () => styled("--accent");

  spared.plot = async (node, title, traces, layout = {}) => {
    const inner = el("div", { role: "img", "aria-label": title });
    node.replaceChildren(el("p", { class: "plot-title" }, title), inner);
    await spared.script(`${document.documentElement.dataset.assets}/plotly.min.js`);
    if (!node.isConnected) return;
    const ink = spared.ink(), line = styled("--line");
    // Ticks that nobody sees keep the first numbers of two axes apart.
    const axis = (given = {}) => ({ gridcolor: line, zerolinecolor: line, automargin: true, ticks: "outside", ticklen: 6, tickcolor: "rgba(0,0,0,0)", ...given });
    // On a phone a legend beside the drawing would be as wide as it.
    const narrow = node.clientWidth < NARROW ? { legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" } } : {};
    await Plotly.newPlot(inner, traces, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 12 }, colorway: COLOURS,
      margin: { l: 56, r: 16, t: 16, b: 60 }, height: 340, ...narrow, ...layout,
      xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
    }, { displaylogo: false, responsive: true, displayModeBar: false });
  };
  spared.colours = COLOURS;
})();
