"use strict";
// The form, the address and the views: what is shown follows from the address alone.

(() => {
  const { el, values, state, replaceState } = spared;
  const form = document.getElementById("filters"), view = document.getElementById("view");
  const field = (name) => form.elements.namedItem(name);
  const SELECTS = ["technology", "organism", "tissue", "budget", "completer", "scope", "trust", "weights", "tier"];
  const SENTENCE = ["technology", "organism", "tissue", "budget"];
  const FILTERED = ["table", "figures"];
  let context = null;

  const protocols = () => values.get("index").protocols;
  const first = () => values.get("index").first || protocols()[0]; // that is shown where the address names none

  async function open(protocol) {
    if (context?.protocol === protocol) return;
    const drawn = (name) => values.get("index").maps ? spared.ofProtocol(protocol, name) : {};
    const [board, maps, prepared] = await Promise.all([spared.ofProtocol(protocol, "board"), drawn("maps"), drawn("prepared")]);
    context = { protocol, board, maps, prepared };
    for (const name of ["completer", "scope", "trust", "weights"]) offer(field(name), distinct(board.rows.map((row) => row[name])));
    // Generated data answer no question about tissue.
    const measured = board.datasets.filter((c) => !c.synthetic), some = measured.length ? measured : board.datasets;
    const technologies = distinct(some.map((c) => spared.choice.technology(c.technology)));
    offer(field("technology"), technologies, technologies.map(spared.choice.technologyInFull));
    offer(field("organism"), distinct(some.map((c) => c.organism)));
    offer(field("tier"), distinct(board.datasets.map((c) => c.tier)));
    offer(field("tissue"), tissues(some));
    document.getElementById("offered").replaceChildren("The lists offer what the datasets here are of. ", ...forerunner(technologies), ...elsewhere(board));
    field("budget").replaceChildren(...spared.choice.BUDGETS.map(([value, text]) => el("option", { value }, text)));
    boxes("datasets", board.datasets.map((c) => [c.name, c.counts ? c.name : `${c.name} (in no mean)`]));
    offer(field("metric"), board.metrics.map((m) => m.name), board.metrics.map((m) => m.title));
    spared.words.glossary(board);
    spared.protocols.latest(document.getElementById("changes"));
  }

  const distinct = (found) => [...new Set(found)].filter(Boolean).sort();
  // "breast" is offered beside "breast cancer", and stands for both.
  // of what has both; where there is cancer alone, it is one and the same.
  const CANCER = /\s*\bcancer$/i;
  function tissues(datasets) {
    const all = distinct(datasets.map((c) => c.tissue)), organs = all.map((tissue) => tissue.replace(CANCER, ""));
    return distinct(organs.flatMap((organ) => all.includes(organ) ? all.filter((tissue) => tissue.replace(CANCER, "") === organ) : [organ]));
  }

  // Who has Visium and finds none is told what comes nearest.
  const forerunner = (technologies) => technologies.includes("ST") && !technologies.includes("Visium") ? ["None is of Visium; ", spared.words.term("st", "ST"), " came before it, with larger spots. "] : [];

  // What other protocols have data of, and this one has not, with the way there.
  function elsewhere(board) {
    const { protocols, offers } = values.get("index"), shown = { technology: spared.choice.technology, organism: (text) => text, tissue: (text) => text.replace(CANCER, "") };
    const here = (what) => new Set([...field(what).options].map((each) => shown[what](each.value).toLowerCase()));
    const known = Object.fromEntries(Object.keys(shown).map((what) => [what, here(what)]));
    const missing = (what, each) => distinct((offers[each]?.[what] || []).map(shown[what]).filter((value) => !known[what].has(value.toLowerCase())));
    const found = new Map(protocols.filter((each) => each !== board.protocol).map((each) => [each, Object.keys(shown).map((what) => missing(what, each))]));
    const more = [...found].map(([each, kinds]) => [each, kinds.flat()]).filter(([, all]) => all.length);
    if (!more.length) return ["If yours is not there, leave “any”: what holds elsewhere is the best guess."];
    const way = (protocol) => { const params = new URLSearchParams(spared.state().params); params.set("protocol", protocol); return spared.address(["table"], params); };
    // Technologies first: what somebody has is a Visium slide before it is a kidney.
    const every = Object.keys(shown).flatMap((_, kind) => distinct([...found.values()].flatMap((kinds) => kinds[kind]))), some = every.slice(0, MOST_NAMED);
    return [el("details", {}, el("summary", {}, `Not there? Other protocols have ${every.length > some.length ? `${some.join(", ")} and ${every.length - some.length} more` : spared.parts.listed(some)}`),
      el("ul", {}, more.map(([protocol, all]) => el("li", {}, el("a", { href: way(protocol) }, protocol), `: ${spared.parts.listed(all)}`))), "Each measures in its own way: compare no numbers across protocols.")];
  }

  const MOST_NAMED = 5;
  const ANY = { technology: "any technology", organism: "any organism", tissue: "any tissue" };
  function offer(select, options, titles) {
    const any = select.name !== "metric";
    select.replaceChildren(...(any ? [el("option", { value: "" }, ANY[select.name] || "All")] : []), ...options.map((each, i) => el("option", { value: each }, titles ? titles[i] : each)));
    select.closest("label").hidden = options.length < 2 && !SENTENCE.includes(select.name);
  }

  function boxes(id, entries) {
    const set = document.getElementById(id);
    set.replaceChildren(set.firstElementChild, ...entries.map(([value, text]) => el("label", { class: "check" }, el("input", { type: "checkbox", name: id, value }), ` ${text}`)));
  }

  const checked = (id) => [...form.querySelectorAll(`input[name=${id}]`)];

  // The form shows the address; what the address asks for and the board lacks is left out.
  function fill(params) {
    field("q").value = params.get("q") || "";
    const organ = (params.get("tissue") || "").replace(CANCER, "");
    if (organ && ![...field("tissue").options].some((each) => each.value === params.get("tissue"))) params.set("tissue", organ);
    for (const name of SELECTS) {
      field(name).value = (name === "technology" ? spared.choice.technology(params.get(name)) : params.get(name)) || "";
      if (field(name).selectedIndex < 0) { field(name).value = ""; params.delete(name); }
    }
    field("metric").value = spared.metricAt(context.board, spared.metricIndex(context.board, params)).name;
    field("cells").value = params.get("cells") === "normalised" ? "normalised" : "";
    field("controls").checked = params.get("controls") !== "0";
    const named = params.getAll("dataset");
    for (const box of checked("datasets")) box.checked = !named.length || named.includes(box.value);
  }

  function read() {
    const params = new URLSearchParams();
    const set = (name, value, usual) => { if (value && value !== usual) params.set(name, value); };
    set("protocol", context.protocol, first());
    set("q", field("q").value.trim());
    for (const name of SELECTS) set(name, field(name).value);
    set("metric", field("metric").value, spared.metricAt(context.board, 0).name);
    set("cells", field("cells").value);
    if (!field("controls").checked) params.set("controls", "0");
    const all = checked("datasets"), some = all.filter((box) => box.checked);
    if (some.length && some.length < all.length) for (const box of some) params.append("dataset", box.value);
    const columns = checked("columns").filter((box) => box.checked === (box.dataset.usual !== "on")).map((box) => `${box.checked ? "+" : "-"}${box.value}`);
    set("columns", columns.join(" "));
    for (const name of ["sort", "cost"]) set(name, state().params.get(name));
    return params;
  }

  function columnBoxes(params) {
    const changed = (params.get("columns") || "").split(" ");
    const entries = [...spared.ranking.columns().filter((c) => c.dataset === undefined && c.key !== "name").map((c) => [c.key, c.title, c.hidden ? "" : "on"]), ["datasets", "Datasets", "on"]];
    const set = document.getElementById("columns");
    const shape = [context.protocol, ...entries.map(([key, title]) => `${key} ${title}`)].join(" ");
    if (set.dataset.of !== shape) {
      boxes("columns", entries);
      checked("columns").forEach((box, i) => { box.dataset.usual = entries[i][2]; });
      set.dataset.of = shape;
    }
    for (const box of checked("columns")) box.checked = box.dataset.usual === "on" ? !changed.includes(`-${box.value}`) : changed.includes(`+${box.value}`);
  }

  function notices() {
    const { board } = context, { refused, left_out = [] } = values.get("index");
    document.getElementById("notices").replaceChildren(...[
      board.comparable ? null : el("p", { class: "banner" }, el("strong", {}, "Not comparable with published numbers."), ` ${spared.words.explain("comparable")}`),
      board.rows.length ? null : el("p", { class: "banner" }, "No predictor has run under this protocol. ", spared.link(["completion"], "What the completers scored")),
      board.datasets.some((c) => c.counts) || !board.rows.length ? null : el("p", { class: "banner" }, "All data here are generated, so nothing is ranked."),
      ...board.notes.map((note) => el("p", { class: "banner" }, note)),
      refused.length ? el("details", { class: "banner" }, el("summary", {}, `${refused.length} entr${refused.length === 1 ? "y" : "ies"} could not be used`), el("ul", {}, refused.map((each) => el("li", {}, each)))) : null,
      left_out.length ? el("details", { class: "banner" }, el("summary", {}, `What is not shown, and why (${left_out.length})`), el("ul", {}, left_out.map((each) => el("li", {}, each)))) : null,
    ].filter(Boolean));
  }

  function showTable(params) {
    const { board } = context;
    const choice = spared.ranking.show(board, params);
    const n = choice.counted.length, plural = (k, word) => `${k} ${word}${k === 1 ? "" : "s"}`;
    document.getElementById("table-title").textContent = `Protocol ${context.protocol}`;
    document.getElementById("shown").textContent = `${choice.rows.size} of ${plural(board.rows.length, "row")} on ${plural(n, "dataset")} that count${n === 1 ? "s" : ""}.`;
    document.getElementById("units").textContent = spared.ranking.units();
    columnBoxes(params);
    spared.choose.show(document.getElementById("answer"), context, choice, params);
    const box = document.getElementById("failures");
    if (box.dataset.of !== context.protocol) {
      box.dataset.of = context.protocol;
      box.replaceChildren(board.n_failures ? el("details", {}, el("summary", {}, `${plural(board.n_failures, "trial")} without a result`),
        spared.table(["Dataset", "Predictor", "Completer", "Seed", "Status", "Reason"], board.failures, "Trials without a result")) : "");
    }
  }

  let turn = 0;
  async function render() {
    const mine = ++turn;
    if (!protocols().length) {
      document.getElementById("notices").replaceChildren(el("p", { class: "banner" }, "There are no results yet."));
      return;
    }
    const { view: [wanted, ...rest], params } = state();
    const name = wanted === "about" || Object.hasOwn(spared.views, wanted) ? wanted : "table";
    await open(protocols().includes(params.get("protocol")) ? params.get("protocol") : first());
    if (mine !== turn) return;
    fill(params);
    form.hidden = !FILTERED.includes(name);
    for (const id of ["answer", "question", "offered"]) document.getElementById(id).hidden = name !== "table";
    counted(params);
    for (const each of switches) each.value = context.protocol;
    spared.protocols.show(document.getElementById("differences"), context.protocol, protocols());
    for (const id of ["table", "about"]) document.getElementById(`view-${id}`).hidden = name !== id;
    view.hidden = name === "table" || name === "about";
    document.getElementById("notices").hidden = name === "map" || name === "about";
    notices();
    for (const each of document.querySelectorAll("[data-view]")) {
      const path = each.dataset.view.split("/");
      each.href = spared.address(path, spared.carried(path, params));
      if (each.dataset.view === name) each.setAttribute("aria-current", "page"); else each.removeAttribute("aria-current");
    }
    if (name === "table") showTable(params);
    else if (name === "about") spared.words.goTo(rest[0]);
    else await spared.views[name](context, view, rest);
    document.documentElement.dataset.ready = name;
  }
  spared.render = render;

  function changed() {
    const { view: [name] } = state();
    const params = read();
    replaceState([FILTERED.includes(name) ? name : "table"], params);
    return render();
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => { if (event.target.id !== "choose-cost") changed(); });

  // Another protocol, and the same place of it: view, filters and sort, as far as it has them.
  const protocol = document.getElementById("protocol");
  const switches = [protocol];
  protocol.addEventListener("change", () => {
    const { view: where, params } = state(), top = window.scrollY;
    if (protocol.value === first()) params.delete("protocol"); else params.set("protocol", protocol.value);
    replaceState(where[0] ? where : ["table"], params);
    render().then(() => { window.scrollTo(0, top); protocol.focus({ preventScroll: true }); });
  });

  // A menu opens to the side on which there is room.
  for (const menu of form.querySelectorAll("details.menu")) menu.addEventListener("toggle", () => {
    const inner = menu.querySelector("fieldset");
    inner.classList.remove("leftwards");
    inner.classList.toggle("leftwards", inner.getBoundingClientRect().right > document.documentElement.clientWidth);
  });

  // On a phone the filters lie in a drawer, which says how many of them are set.
  const drawer = document.getElementById("drawer");
  const wide = matchMedia("(min-width: 48rem)");
  const fold = () => { drawer.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();
  function counted(params) {
    const set = [...params.keys()].filter((name) => !["protocol", "sort", "cost", ...SENTENCE].includes(name)).length;
    drawer.firstElementChild.textContent = set ? `Filters and columns (${set} set)` : "Filters and columns";
  }
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    const params = new URLSearchParams();
    if (context.protocol !== first()) params.set("protocol", context.protocol);
    replaceState(["table"], params);
    render();
  });
  document.addEventListener("spared-order", () => {
    const { view: [name], params } = state();
    if (name && name !== "table") return;
    const sort = spared.ranking.sorting();
    if (sort) params.set("sort", sort); else params.delete("sort");
    replaceState(["table"], params);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") form.querySelectorAll("details.menu[open]").forEach((each) => { each.open = false; each.firstElementChild.focus(); }); });
  window.addEventListener("hashchange", () => { render().then(() => { const [name, part] = state().view; if (!view.hidden || (name === "about" && !part)) { document.getElementById("main").focus({ preventScroll: true }); window.scrollTo(0, 0); } }); });
  const start = () => { protocol.replaceChildren(...protocols().map((each) => el("option", { value: each }, each))); protocol.closest("label").hidden = protocols().length < 2; render(); };
  if (values.has("index")) start(); else document.addEventListener("spared-index", start);
})();
