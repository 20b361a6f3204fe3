"use strict";
// The page of a dataset: its slides with their spots, its numbers, its checks, and who is best on it.

(() => {
  const { el, score, link, table, rowName, none, metricAt, scores, write, error, extreme } = spared;
  const { known, facts, source, plural, copyable, command } = spared.parts;
  const yes = (value) => value ? "yes" : "no";
  const whole = (v) => known(v) ? Math.round(v).toLocaleString("en") : none;

  spared.views.dataset = async ({ board, maps, protocol, prepared }, view, [name]) => {
    const i = board.datasets.findIndex((each) => each.name === name);
    if (i < 0) return view.replaceChildren(el("p", { class: "banner" }, `There is no such dataset under ${protocol}. `, link(["table"], "What there is")));
    const column = board.datasets[i], left = prepared[name], file = spared.values.get("index").slides?.[name];
    const slides = file ? await spared.load(file) : { pictures: {}, facts: {}, checks: {} };
    const k = spared.metricIndex(board, spared.state().params), metric = metricAt(board, k), columns = spared.scored(board, k);
    const value = (row) => scores(row, k).mean[i];
    const rows = board.rows.filter((row) => known(value(row))).sort((a, b) => error(metric, value(a)) - error(metric, value(b)));
    const order = board.datasets.filter((each) => each.counts && known(each.best[k])).sort((a, b) => error(metric, a.best[k]) - error(metric, b.best[k]));
    const place = order.indexOf(column), best = column.best[k];
    const trusted = new Set(rows.map((row) => row.trust)).size > 1 ? ["Trust"] : [];
    view.replaceChildren(
      el("p", { class: "crumbs" }, link(["table"], "Ranking"), " / dataset"),
      el("h2", {}, el("bdi", {}, name)),
      column.summary ? el("p", { class: "lead" }, column.summary) : "",
      numbers(column, left, slides),
      facts([
        [`Best (${extreme(metric)}) ${metric.title}`, known(best) ? [rows.find((row) => value(row) === best) ? [link(["method", rows.find((row) => value(row) === best).id], rowName(rows.find((row) => value(row) === best))), " "] : "", `${write(metric)(best)}${place < 0 ? "" : `: ${place ? `place ${place + 1} of ${order.length} datasets, the easiest first` : `the easiest of ${order.length} datasets`}`}`] : null],
        ["Organism", column.organism], ["Tissue", column.tissue], ["Task", column.task], ["Technology", (column.technology || "").replace(/\bum\b/g, "µm")],
        ["Images", column.image], ["Tier", column.tier], ["Scored on", `the spots of ${column.split}`],
        ["Spots, as published", column.n_spots || null], ["Generated", column.synthetic ? "yes: in no mean and in no rank" : null],
        ["Of the protocol", column.listed ? null : "no: in no mean and in no rank"], ["Repeats the slides of", column.repeats.join(", ")], ["Donors in train and test", column.shared_donors.join(", ")], ["Slides in doubt", column.doubts.join("; ")], ["Imported", imported(column, left, slides)], ["Donors verified", known(column.donors_verified) ? yes(column.donors_verified) : null],
        ["Raw counts", known(column.raw_counts) ? yes(column.raw_counts) : null], ["Licence", column.licence], ["Citation", column.citation],
        ["Where the data are", (column.links || []).map((each) => el("div", {}, source(each)))],
      ]),
      column.notes?.length ? el("ul", {}, column.notes.map((note) => el("li", {}, note))) : "",
      el("h3", {}, "Slides"), ...gallery(column, slides), ...slideTable(column, left, slides),
      el("p", {}, "The page of the data, with every check and what processing left, is written by"), copyable(command("spared-bench", "data", "show", name)),
      el("h3", {}, "Methods"),
      el("div", { class: "controls" }, spared.chooseMetric(board, ["dataset", name])),
      table(["Method", { text: "Completer", tip: spared.words.explain("completer") }, ...trusted.map((text) => ({ text, tip: spared.words.explain("trust") })), ...columns.map((c) => ({ text: c.title, tip: c.tip })), "Maps"], rows.map((row) => [
        link(["method", row.id], rowName(row)), row.completer, ...trusted.map(() => row.trust), ...columns.map((c) => c.show(row, i)),
        maps[row.id]?.[name] ? link(["map", row.id, name], "maps", { "aria-label": `Maps of ${rowName(row)} · ${row.completer}` }) : none,
      ]), `Scores on ${name}, best first`),
    );
  };

  // What of this page nobody made here.
  function imported(column, left, slides) {
    const parts = [];
    if (left?.imported) parts.push("The prepared data came from another store: what was measured, the genes, and the spots kept.");
    const marked = slides.imported || [], every = marked.length > 1 && marked.length === column.slides.length;
    if (marked.length) parts.push(`Pictures or checks of ${every ? `all ${marked.length} slides` : plural(marked.length, "slide")} came from another store${every ? "" : `: ${marked.join(", ")}`}.`);
    return parts.length ? parts.map((part) => el("div", {}, part)) : null;
  }

  // The numbers of the paper's first table.
  function numbers(column, left, slides) {
    const donors = new Set(column.slides.map((s) => s.donor).filter(Boolean));
    const spots = left ? Object.values(left.slides).reduce((n, s) => n + s.kept, 0) : column.n_spots;
    const count = (split) => column.slides.filter((s) => s.split === split).length;
    const cards = [
      ["Slides", column.slides.length || null], ["Donors", donors.size || null], [left ? "Spots kept" : "Spots", spots || null],
      ["Genes", left?.genes], ["Not measured", left ? `${(100 * left.missing).toFixed(1)} %` : null],
      ["Train / val / test slides", column.slides.length ? `${count("train")} / ${count("val")} / ${count("test")}` : null],
    ].filter(([, v]) => known(v));
    return cards.length ? el("ul", { class: "numbers" }, cards.map(([what, v]) => el("li", {}, el("strong", {}, typeof v === "number" ? whole(v) : v), what))) : "";
  }

  // How many donors there are; nothing where it is not said of every slide whose it is.
  const ofDonors = (donors) => donors.every(Boolean) ? [plural(new Set(donors).size, "donor")] : [];

  // Whether slides that are scored have donors of their own, as far as donors are said.
  function divided(column) {
    const scored = new Set(column.slides.filter((s) => s.split === column.split).map((s) => s.donor));
    const shared = column.shared_donors.length || column.slides.some((s) => s.split !== column.split && s.donor && scored.has(s.donor));
    return shared ? "Slides; some donors are learnt from and scored on" : column.slides.every((s) => s.donor) ? "Slides, divided by donor" : "Slides; not of all is it said whose they are";
  }

  function gallery(column, slides) {
    const shown = Object.keys(slides.pictures);
    if (!shown.length) return [el("p", { class: "note" }, "No pictures: the raw slides were not on the machine that built the page, or their licence is not stated.")];
    const split = new Map(column.slides.map((s) => [s.slide, s]));
    const groups = ["train", "val", "test", ""].map((part) => [part, shown.filter((name) => (split.get(name)?.split || "") === part)]).filter(([, names]) => names.length);
    return groups.map(([part, names]) => el("div", {}, el("h4", {}, { train: "To learn from", val: "To choose on", test: "To be scored on", "": "Others" }[part], ` (${[plural(names.length, "slide"), ...ofDonors(names.map((n) => split.get(n)?.donor))].join(", ")})`),
      el("div", { class: "gallery" }, names.map((name) => el("figure", {},
        el("img", { src: `data:image/webp;base64,${slides.pictures[name]}`, alt: `Slide ${name} with its spots`, loading: "lazy" }),
        el("figcaption", {}, el("strong", {}, name), split.get(name)?.donor ? ` donor ${split.get(name).donor}` : ""))))));
  }

  function slideTable(column, left, slides) {
    if (!column.slides.length) return [];
    const verdict = (name) => { const found = slides.checks[name]; if (!found) return none; const failed = found.filter((each) => each.passed === false); return failed.length ? el("span", { class: "flag", "data-tip": failed.map((each) => `${each.test}: ${each.message}`).join(" ") , tabindex: "0" }, `fails ${failed.map((each) => each.test).join(", ")}`) : `${plural(found.filter((each) => each.passed).length, "test")} passed`; };
    return [table(["Slide", "Donor", "Split", "Spots read", "Spots kept", "Spot, µm", "Quality control"], column.slides.map((s) => {
      const mine = left?.slides[s.slide], frame = slides.facts[s.slide];
      return [s.slide, s.donor, s.split, whole(mine?.read ?? frame?.n_spots), whole(mine?.kept), frame?.um_per_px ? whole(frame.spot_px * frame.um_per_px) : none, verdict(s.slide)];
    }), divided(column))];
  }
})();
