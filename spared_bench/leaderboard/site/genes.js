"use strict";
// Methods by genes on one dataset: which genes all predict, and which only some.

(() => {
  const { el, esc, figure, rowName } = spared;
  const { known } = spared.parts;
  const MOST_ROWS = 30, MOST_NAMES = 60, NARROW = 480, GENE = 9, NAMED = 15; // px of a gene, at least, and of one with its name

  figure("genes", async ({ context, board, choice }) => {
    const offered = choice.columns.map((i) => board.datasets[i].name).filter((name) => context.prepared[name]?.by_gene);
    if (!offered.length) return null;
    const box = el("div", {}), inner = el("div", { class: "plain-plot" });
    const wanted = spared.state().params.get("heat");
    const select = el("select", { "aria-label": "Dataset of the genes", onchange: () => {
      const next = spared.state().params;
      next.set("heat", select.value);
      spared.replaceState(["figures"], next);
      draw(select.value);
    } }, offered.map((name) => el("option", { value: name, selected: name === wanted }, name)));
    box.append(el("p", { class: "plot-title" }, "Genes of ", select), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores of genes by method" }, inner));

    // On a phone it is drawn wider than the screen, and scrolled.
    const wide = (genes) => { inner.style.minWidth = box.clientWidth < NARROW ? `${Math.min(1200, 240 + (genes <= MOST_NAMES ? NAMED : GENE) * genes)}px` : ""; };

    async function draw(name) {
      const found = await spared.ofProtocol(context.protocol, context.prepared[name].by_gene);
      const metric = board.metrics.find((m) => m.name === found.metric) || { title: found.metric };
      const rows = found.rows.map(([id, values]) => [board.rows.find((row) => row.id === id), values]).filter(([row]) => row && choice.rows.has(row)).slice(0, MOST_ROWS);
      if (!rows.length) return inner.replaceChildren(el("p", { class: "note" }, "No row that the filters leave has values per gene here."));
      const every = rows.flatMap(([, values]) => values.filter(known)), most = Math.max(...every.map(Math.abs), 0.1);
      const symbols = found.symbols.map(esc), places = symbols.map((_, i) => i);
      const few = symbols.length <= MOST_NAMES;
      wide(symbols.length);
      await spared.plot(inner, `${metric.title} of ${spared.parts.plural(symbols.length, "gene")} (left: best predicted by all) by ${spared.parts.plural(rows.length, "row")}`, [{ type: "heatmap", z: rows.map(([, values]) => values), x: places, y: rows.map(([row]) => esc(`${rowName(row)} · ${row.completer}`)), customdata: rows.map(() => symbols), hovertemplate: "%{customdata}<br>%{y}<br>%{z:.3f}<extra></extra>", zmid: 0, zmin: -most, zmax: most, colorscale: [[0, "#b2182b"], [0.25, "#f4a582"], [0.5, "#f7f7f7"], [0.75, "#92c5de"], [1, "#2166ac"]], colorbar: { thickness: 10, title: { text: esc(metric.title) } } }],
        { height: Math.max(260, 18 * rows.length + 130), yaxis: { autorange: "reversed" }, xaxis: few ? { tickvals: places, ticktext: symbols, tickangle: -60, tickfont: { size: 9 } } : { title: { text: "genes" } } });
    }
    setTimeout(() => { if (inner.isConnected) draw(select.value || offered[0]); }, 0);
    return box;
  }, true);
})();
