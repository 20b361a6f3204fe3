"use strict";
// One method on one dataset: measured beside predicted on a slide, gene by gene.

(() => {
  const { el, score, link, rowName } = spared;
  const VIRIDIS = ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
  const RGB = VIRIDIS.map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const MOST_POINTS = 2000;

  function colour(share) {
    const at = Math.max(0, Math.min(1, share)) * (RGB.length - 1);
    const low = Math.min(RGB.length - 2, Math.floor(at));
    return `rgb(${[0, 1, 2].map((k) => Math.round(RGB[low][k] + (at - low) * (RGB[low + 1][k] - RGB[low][k]))).join(",")})`;
  }

  // Values are packed as bytes between a gene's extremes; 255 is unmeasured.
  function unpack({ low, high, steps }) {
    return Array.from(atob(steps), (c) => { const step = c.charCodeAt(0); return step === 255 ? null : low + (high - low) * step / 254; });
  }

  function canvas(label, x, y, values, low, high) {
    const wide = Math.max(...x) - Math.min(...x) || 1, tall = Math.max(...y) - Math.min(...y) || 1;
    const width = 640, scale = (width - 40) / wide, height = Math.round(Math.min(900, tall * scale) + 40);
    const fit = Math.min(scale, (height - 40) / tall);
    const radius = Math.max(1.5, Math.min(16, 0.5 * Math.sqrt(wide * tall / x.length) * fit));
    const node = el("canvas", { width, height, role: "img", "aria-label": label });
    const draw = node.getContext("2d");
    const [left, top] = [Math.min(...x), Math.min(...y)];
    values.forEach((value, i) => {
      draw.beginPath();
      draw.arc(20 + (x[i] - left) * fit, 20 + (y[i] - top) * fit, radius, 0, 7);
      draw.fillStyle = value === null ? "rgba(128,128,128,0.25)" : colour((value - low) / (high - low || 1));
      draw.fill();
    });
    return el("figure", {}, el("figcaption", {}, label), node);
  }

  spared.views.map = async (context, view, [id, name]) => {
    const { board, maps, protocol } = context;
    const row = board.rows.find((each) => each.id === id);
    const files = maps[id]?.[name];
    if (!row || !files) {
      return view.replaceChildren(el("p", { class: "crumbs" }, link(["table"], "Ranking"), row ? [" / ", link(["method", id], rowName(row))] : ""),
        el("p", { class: "banner" }, "There are no predictions to draw: this board was made without them, or the row holds scores only."));
    }
    const [truth, map] = await Promise.all(files.map((file) => spared.ofProtocol(protocol, file)));
    const params = spared.state().params;
    const gene = Math.max(0, truth.genes.findIndex((each) => truth.symbols[each.gene] === params.get("gene")));
    const slide = Math.max(0, truth.slides.indexOf(params.get("slide") ?? ""));
    show(context, view, { row, name, truth, map, gene, slide });
  };

  function show(context, view, drawn) {
    const { row, name, truth, map, gene, slide } = drawn;
    // By the chosen metric, if it has a value per gene, or else by the first that has.
    const chosen = spared.metricAt(context.board, spared.metricIndex(context.board, spared.state().params));
    const metric = [chosen, ...context.board.metrics].find((m) => m.name in map.scores) || { title: "Score", name: "" };
    const [values, write] = [map.scores[metric.name] || [], spared.write(metric)];
    const symbol = (each) => truth.symbols[each.gene] || truth.ids[each.gene] || `gene ${each.gene}`;
    const select = (label, options, chosen, change) => el("label", {}, `${label} `, el("select", { onchange: (event) => change(event.target.selectedIndex) },
      options.map((text, i) => el("option", { selected: i === chosen }, text))));
    const again = (change) => {
      const next = { ...drawn, ...change };
      const params = spared.state().params;
      params.set("gene", symbol(truth.genes[next.gene]));
      params.set("slide", truth.slides[next.slide]);
      spared.replaceState(["map", row.id, name], params);
      show(context, view, next);
      view.querySelectorAll("select")["gene" in change ? 0 : 1].focus();
    };
    const here = truth.slide.map((s, i) => s === slide ? i : -1).filter((i) => i >= 0);
    const [measured, predicted] = [truth.genes[gene], map.genes[gene]].map((each) => { const all = unpack(each); return here.map((i) => all[i]); });
    const seen = [...measured, ...predicted].filter((v) => v !== null);
    const [low, high] = seen.length ? [Math.min(...seen), Math.max(...seen)] : [0, 1];
    const [x, y] = [here.map((i) => truth.x[i]), here.map((i) => truth.y[i])];
    const others = context.board.rows.filter((each) => each !== row && context.maps[each.id]?.[name]);
    const [scatter, histogram] = [el("div", { class: "plot" }), el("div", { class: "plot" })];
    const geneName = symbol(truth.genes[gene]);
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / ", link(["method", row.id], rowName(row)), " / ", link(["dataset", name], name)),
      el("h2", {}, el("bdi", {}, geneName), " on ", el("bdi", {}, truth.slides[slide])),
      el("p", {}, `${rowName(row)} with completer ${row.completer} on ${name}, ${truth.split} slides, seed ${map.seed}. ${metric.title} of this gene over all of them: ${write(values[truth.genes[gene].gene])}.`
        + (here.length && truth.x.length < truth.n_spots ? ` ${truth.x.length} of ${truth.n_spots} spots are drawn.` : "")),
      el("div", { class: "controls" },
        select("Gene", truth.genes.map((each) => `${symbol(each)} (${metric.title} ${write(values[each.gene])})`), gene, (i) => again({ gene: i })),
        select("Slide", truth.slides, slide, (i) => again({ slide: i })),
        others.length ? el("label", {}, "Compare with ", el("select", { onchange: (event) => { if (event.target.value) location.hash = spared.address(["map", event.target.value, name], spared.state().params); } },
          el("option", { value: "" }, "…"), others.map((each) => el("option", { value: each.id }, `${rowName(each)} · ${each.completer}`)))) : ""),
      el("div", { class: "pair" },
        canvas(`Measured ${geneName}${measured.includes(null) ? `: ${measured.filter((v) => v !== null).length} of ${here.length} spots, the others grey` : ""}`, x, y, measured, low, high),
        canvas(`Predicted ${geneName}`, x, y, predicted, low, high)),
      el("p", { class: "scale" }, score(low), el("span", { class: "ramp", "aria-hidden": "true" }), score(high), " (one scale for both)"),
      el("div", { class: "pair" }, scatter, histogram),
      el("p", { class: "note" }, "The genes are the same for all methods: of the dataset’s genes, those that all methods together predict best, in the middle and worst."),
    );
    plots(scatter, histogram, { measured, predicted, metric, values, geneName, at: values[truth.genes[gene].gene] });
  }

  function plots(scatter, histogram, { measured, predicted, metric, values, geneName, at }) {
    const both = measured.map((v, i) => [v, predicted[i]]).filter(([a, b]) => a !== null && b !== null);
    const kept = both.filter((_, i) => i % Math.ceil(both.length / MOST_POINTS) === 0);
    const ends = kept.length ? [Math.min(...kept.flat()), Math.max(...kept.flat())] : [0, 1];
    spared.plot(scatter, `Measured against predicted ${geneName}, measured spots of this slide`, [
      { type: "scatter", mode: "markers", x: kept.map((v) => v[0]), y: kept.map((v) => v[1]), marker: { size: 5, opacity: 0.6 }, name: "spots" },
      { type: "scatter", mode: "lines", x: ends, y: ends, line: { dash: "dot", width: 1 }, name: "equal" },
    ], { xaxis: { title: { text: "measured" } }, yaxis: { title: { text: "predicted" } }, showlegend: false });
    const finite = values.filter((v) => v !== null);
    spared.plot(histogram, `${metric.title} of each of ${finite.length} genes; the line is ${geneName}`, [{ type: "histogram", x: finite, ...(metric.comparable ? { xbins: { size: 0.05 } } : {}) }], {
      xaxis: { title: { text: spared.esc(`${metric.title} of a gene`) } }, yaxis: { title: { text: "genes" } }, bargap: 0.05,
      shapes: at === null || at === undefined ? [] : [{ type: "line", x0: at, x1: at, yref: "paper", y0: 0, y1: 1, line: { width: 2, dash: "dash" } }],
    });
  }
})();
