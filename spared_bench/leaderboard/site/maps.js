"use strict";
// One method on one dataset: the tissue, and a gene measured, predicted, their difference, and the
// variance where the method predicts one. Everything that is looked at stands in the address.

(() => {
  const { el, score, link, rowName, ofProtocol } = spared;
  const { known } = spared.parts;

  spared.views.map = async (context, view, [id, name]) => {
    const { board, maps, protocol } = context;
    const row = board.rows.find((each) => each.id === id);
    const files = maps[id]?.[name];
    if (!row || !files) {
      return view.replaceChildren(el("p", { class: "crumbs" }, link(["table"], "Ranking"), row ? [" / ", link(["method", id], rowName(row))] : ""),
        el("p", { class: "banner" }, "There are no predictions to draw: this board was made without them, or the row holds scores only."));
    }
    const [truth, map] = await Promise.all(files.map((file) => ofProtocol(protocol, file)));
    const drawn = { row, name, files, truth, map };
    await show(context, view, drawn);
  };

  const symbolAt = (truth, i) => truth.symbols[i] || truth.ids[i] || `gene ${i}`;
  // A gene by its symbol or its id, in either case; -1 where there is none.
  function geneOf(truth, text) {
    const wanted = text.trim().toLowerCase();
    const exact = (list) => list.findIndex((each) => each.toLowerCase() === wanted);
    return wanted ? Math.max(exact(truth.symbols), exact(truth.ids)) : -1;
  }

  async function picture(protocol, slide) {
    if (!slide.picture) return null;
    const found = await ofProtocol(protocol, slide.picture);
    const image = new Image();
    image.src = `data:image/webp;base64,${found.webp}`;
    try { await image.decode(); } catch { return null; }
    return { ...found, image };
  }

  async function read(protocol, { truth, map, files }, gene, number) {
    const slide = truth.slides[number];
    const of = (name) => spared.packed.gene(protocol, name, truth.levels, number, gene, slide.spots, slide.genes_per_file);
    const [places, tissue, measured, predicted, variance] = await Promise.all([ofProtocol(protocol, `${files[0]}-s${number}`), picture(protocol, slide), of(files[0]), of(files[1]), map.variance ? of(`${files[1]}-v`) : null]);
    return { places, tissue, measured, predicted, variance };
  }

  // The other protocols under which there is a map of a gene on the same dataset, with its address:
  // of the same row where it is drawn there, else of another.
  // Maps of a gene under other protocols, of the same method where it has one.
  async function elsewhere({ protocol }, { row, name }, wanted) {
    const found = [];
    for (const other of spared.values.get("index").protocols.filter((each) => each !== protocol)) {
      try {
        const [maps, board] = await Promise.all([ofProtocol(other, "maps"), ofProtocol(other, "board")]);
        const drawn = board.rows.filter((each) => maps[each.id]?.[name]);
        const same = drawn.find((each) => rowName(each) === rowName(row) && each.completer === row.completer), shown = same || drawn[0];
        const truth = shown && await ofProtocol(other, maps[shown.id][name][0]);
        if (!truth || geneOf(truth, wanted) < 0) continue;
        const params = spared.state().params;
        for (const key of ["slide", "zoom", "x", "y"]) params.delete(key);
        params.set("protocol", other);
        params.set("gene", wanted);
        found.push([same ? `Its map under ${other}` : `A map of it under ${other}, by ${spared.choose.named(shown)} (${spared.choose.named(row)} has none there)`, spared.address(["map", shown.id, name], params)]);
      } catch { /* That protocol has no maps. */ }
    }
    return found;
  }

  let turn = 0;
  async function show(context, view, drawn) {
    const mine = ++turn;
    const { board, protocol } = context, { row, name, truth, map } = drawn;
    const params = spared.state().params;
    // Where the wanted gene is not there, the one that was shown stays.
    const wanted = params.get("gene") || "", found = geneOf(truth, wanted), absent = wanted && found < 0;
    const gene = Math.max(0, absent ? geneOf(truth, params.get("before") || "") : found);
    const number = Math.max(0, truth.slides.findIndex((each) => each.name === params.get("slide")));
    const slide = truth.slides[number];
    const [data, beside] = await Promise.all([read(protocol, drawn, gene, number), absent ? elsewhere(context, drawn, wanted) : []]);
    if (mine !== turn) return;
    // By the chosen metric, if it has a value per gene, or else by the first that has.
    const chosen = spared.metricAt(board, spared.metricIndex(board, params));
    const metric = [chosen, ...board.metrics].find((m) => m.name in map.scores) || { title: "Score", name: "" };
    const [values, write] = [map.scores[metric.name] || [], spared.write(metric)];
    const symbol = symbolAt(truth, gene);
    // What changes the address changes the view; where the reader was stays.
    const go = (change) => {
      const next = spared.state().params;
      for (const [key, value] of Object.entries(change)) if (value === null) next.delete(key); else next.set(key, value);
      spared.replaceState(["map", row.id, name], next);
    };
    const again = (change, focus) => { go(change); show(context, view, drawn).then(() => document.getElementById(focus)?.focus({ preventScroll: true })); };
    const said = el("p", { class: "note", role: "status", id: "pointed" });
    const viewer = spared.viewer.create({ ...data.places, diameter: slide.diameter, picture: data.tissue },
      (at) => go(at.whole ? { zoom: null, x: null, y: null } : { zoom: at.zoom.toFixed(2), x: at.x.toFixed(1), y: at.y.toFixed(1) }),
      (i) => { said.textContent = i < 0 ? HINT : told(i); });
    const panels = pictures(viewer, data, symbol, slide).filter(Boolean);
    const told = (i) => [["measured", data.measured], ["predicted", data.predicted], ["variance", data.variance]].filter(([, each]) => each).map(([what, each]) => `${what} ${each.values[i] === null ? "nothing" : score(each.values[i])}`).join(", ");
    said.textContent = HINT;
    const [zoom, x, y] = ["zoom", "x", "y"].map((key) => Number.parseFloat(params.get(key)));
    viewer.place({ zoom, x, y });
    const share = params.has("opacity") ? Math.max(0, Math.min(100, Number(params.get("opacity")) || 0)) : 85;
    viewer.opacity(share / 100);
    const [scatter, histogram] = [el("div", { class: "plot" }), el("div", { class: "plot" })];
    const pair = el("div", { class: `pictures${panels.length > 4 ? " many" : ""}` }, panels);
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / ", link(["method", row.id], rowName(row)), " / ", link(["dataset", name], name)),
      el("h2", {}, el("bdi", {}, symbol), " on slide ", el("bdi", {}, slide.name)),
      el("p", {}, `${rowName(row)} with completer ${row.completer} on ${name}, ${truth.split} slides, seed ${map.seed}. ${metric.title} of this gene over all of them: `, el("strong", {}, write(values[gene])), "."),
      controls(context, drawn, { gene, number, values, write, metric, share, viewer, go, again, wanted: absent ? wanted : "" }),
      absent ? el("p", { class: "banner", role: "status", id: "absent" }, `${wanted} is not among the ${truth.symbols.length} genes that ${protocol} chose on ${name}, so nothing was predicted of it; whether it was measured is not told here. Shown is ${symbol}.`, alike(truth, wanted, (each) => again({ gene: each }, "gene")), beside.map(([text, href]) => [" ", el("a", { href }, text), "."]), offered(truth, (each) => again({ gene: each }, "gene"))) : "",
      pair, said, el("p", { class: "note" }, unit(protocol, data), bounds(truth, slide)),
      context.prepared[name]?.imported ? el("p", { class: "note" }, "What was measured came from another store (imported): nobody prepared it here.") : "",
      el("div", { class: "pair" }, scatter, histogram),
    );
    viewer.watch(pair);
    viewer.redraw();
    spared.mapPlots(scatter, histogram, { measured: data.measured.values, predicted: data.predicted.values, metric, values, geneName: symbol, at: values[gene] });
  }

  // The genes that there are.
  function offered(truth, choose) {
    const names = truth.symbols.map((_, i) => symbolAt(truth, i)).sort((a, b) => a.localeCompare(b));
    return el("details", {}, el("summary", {}, names.length === 1 ? "The gene that there is" : `The ${names.length} genes that there are`), names.map((each, i) => [i ? ", " : "", el("button", { type: "button", class: "word", onclick: () => choose(each) }, each)]));
  }

  // The genes that begin like what was typed.
  function alike(truth, wanted, choose) {
    const found = truth.symbols.map((_, i) => symbolAt(truth, i)).filter((each) => each.toLowerCase().startsWith(wanted.toLowerCase())).slice(0, 8);
    return found.length ? [" Beginning like it: ", found.map((each, i) => [i ? ", " : "", el("button", { type: "button", class: "word", onclick: () => choose(each) }, each)]), "."] : "";
  }

  const HINT = matchMedia("(hover: none)").matches ? "Tap a spot to read it. Pinch to zoom, drag sideways to move; all pictures move together."
    : "Drag to move, click and scroll or press + and - to zoom; all pictures move together. Point at a spot to read it.";

  // What the numbers beside the colours are.
  function unit(protocol, { variance }) {
    const target = spared.words.target(protocol);
    return target ? `Numbers and colours are ${target}${variance ? "; the variance is in the square of that" : ""}. ` : "";
  }

  function bounds(truth, slide) {
    const spots = slide.spots < slide.of ? `${slide.spots} of ${slide.of} spots are drawn, evenly left out to bound the size of the page. ` : "";
    const genes = truth.symbols.length < truth.n_genes ? `${truth.symbols.length} of ${truth.n_genes} genes, the best predicted, are drawn. ` : "";
    const size = slide.diameter && slide.um_per_px ? `Spots are drawn in their true size, ${Math.round(slide.diameter * slide.um_per_px)} µm. ` : slide.diameter ? "Spots are drawn in their true size. " : "The size of a spot is not known here; it is drawn a little smaller than the distance to the next. ";
    return spots + genes + size + (slide.picture ? "" : "There is no picture of the tissue.");
  }

  function pictures(viewer, { tissue, measured, predicted, variance }, symbol, slide) {
    const seen = measured.values.filter((v) => v !== null).length;
    const low = Math.min(measured.low, predicted.low), high = Math.max(measured.high, predicted.high);
    const difference = predicted.values.map((v, i) => v === null || measured.values[i] === null ? null : v - measured.values[i]);
    const most = difference.reduce((m, v) => v === null ? m : Math.max(m, Math.abs(v)), 0) || 1;
    const scale = (ramp, from, to, text = "") => el("p", { class: "scale" }, `${score(from)} `, el("span", { class: "ramp", "aria-hidden": "true", style: `background: ${spared.viewer.css(ramp)}` }), ` ${score(to)}${text}`);
    const missing = seen < measured.values.length ? ` · ○ not measured: ${measured.values.length - seen} of ${measured.values.length} spots` : "";
    return [
      tissue ? viewer.panel(`Tissue of ${slide.name}`, null) : "",
      viewer.panel(`Measured ${symbol}`, { values: measured.values, low, high, ramp: "expression" }, scale("expression", low, high, missing)),
      viewer.panel(`Predicted ${symbol}`, { values: predicted.values, low, high, ramp: "expression" }, scale("expression", low, high)),
      viewer.panel("Predicted less measured", { values: difference, low: -most, high: most, ramp: "difference" }, scale("difference", -most, most)),
      variance ? viewer.panel("Predicted variance", { values: variance.values, low: variance.low, high: variance.high, ramp: "variance" }, scale("variance", variance.low, variance.high)) : "",
    ];
  }

  // The places of the genes that have a score, the best first; equal ones as they stand.
  function ordered(truth, metric, values) {
    const err = (i) => spared.error(metric, values[i]);
    return truth.symbols.map((_, i) => i).filter((i) => known(values[i])).sort((a, b) => err(a) - err(b) || a - b);
  }

  // On a phone the pictures come first: what is seldom needed lies in a fold.
  const WIDE = matchMedia("(min-width: 48rem)");
  let unfolded = null; // as the reader left it: each gene draws the view anew

  function controls({ board, maps }, { row, name, truth }, { gene, number, values, write, metric, share, viewer, go, again, wanted }) {
    const others = board.rows.filter((each) => each !== row && maps[each.id]?.[name]);
    // The genes beside it in the order of this method's own scores; a button at an end has none.
    const order = ordered(truth, metric, values), at = order.indexOf(gene);
    const move = (by, id, other, label, text) => {
      const to = at < 0 ? undefined : order[at + by], last = to !== undefined && order[at + 2 * by] === undefined;
      return el("button", { type: "button", class: "quiet", id, "aria-label": label, disabled: to === undefined, onclick: () => again({ gene: symbolAt(truth, to) }, last ? other : id) }, text);
    };
    const search = el("input", { type: "search", id: "gene", list: "genes", autocomplete: "off", spellcheck: "false", value: wanted || symbolAt(truth, gene), placeholder: symbolAt(truth, gene), "aria-invalid": wanted ? "true" : null, "aria-describedby": wanted ? "absent" : null,
      // Emptied by a click, its list shows every gene; left empty, the gene stays.
      onfocus: (event) => event.target.select(), onclick: (event) => { event.target.value = ""; }, onblur: (event) => { if (!event.target.value) event.target.value = symbolAt(truth, gene); }, onchange: (event) => {
      if (!event.target.value.trim()) return;
      const found = geneOf(truth, event.target.value);
      again(found < 0 ? { gene: event.target.value.trim(), before: symbolAt(truth, gene) } : { gene: symbolAt(truth, found), before: null }, "gene");
    } });
    const chosen = el("label", {}, "Slide ", el("select", { id: "slide", onchange: (event) => again({ slide: truth.slides[event.target.selectedIndex].name, zoom: null, x: null, y: null }, "slide") }, truth.slides.map((each, i) => el("option", { selected: i === number }, each.name))));
    return el("div", { class: "controls looking" },
      el("label", {}, `Find a gene, of ${truth.symbols.length}`, search),
      el("datalist", { id: "genes" }, truth.symbols.map((_, i) => el("option", { value: symbolAt(truth, i) }, `${metric.title} ${write(values[i])}`))),
      chosen,
      el("details", { class: "further", open: unfolded ?? WIDE.matches, ontoggle: (event) => { unfolded = event.target.open; } }, el("summary", {}, "Method, opacity, zoom"), el("div", { class: "controls" },
      move(-1, "gene-before", "gene-next", "The gene that this method predicts next better", "‹ better predicted"),
      move(1, "gene-next", "gene-before", "The gene that this method predicts next worse", "worse predicted ›"),
      others.length ? el("label", {}, "Method ", el("select", { onchange: (event) => { if (event.target.value) location.hash = spared.address(["map", event.target.value, name], spared.state().params); } },
        el("option", { value: "" }, `${rowName(row)} · ${row.completer}`), others.map((each) => el("option", { value: each.id }, `${rowName(each)} · ${each.completer}`)))) : "",
      el("label", {}, "Opacity of the spots", el("input", { type: "range", min: 0, max: 100, step: 5, value: share, oninput: (event) => viewer.opacity(event.target.value / 100), onchange: (event) => go({ opacity: event.target.value === "85" ? null : event.target.value }) })),
      el("span", { class: "zoom" }, el("button", { type: "button", class: "quiet", "aria-label": "Zoom in", onclick: () => viewer.zoom(1.5) }, "+"), el("button", { type: "button", class: "quiet", "aria-label": "Zoom out", onclick: () => viewer.zoom(1 / 1.5) }, "−"), el("button", { type: "button", class: "quiet", onclick: () => viewer.reset() }, "Whole slide")))));
  }
})();
