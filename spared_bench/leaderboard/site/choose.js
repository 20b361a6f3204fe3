"use strict";
// The first screen: which method should I use? A sentence, what supports it, and error against cost.

spared.choose = (() => {
  const { el, link, rowName, score, write, duration, count } = spared;
  const { known, plural, listed, flagged } = spared.parts;
  const MOST_NAMES = 4;
  const MOST_TIED = 40; // of the best rows, that are asked whether they are tied with the first

  const named = (row) => `${rowName(row)}${row.completer && row.completer !== "none" ? ` with completer ${row.completer}` : ""}`;
  // Beside a row of the same method, one without a completer says so.
  const beside = (row, other) => named(row) + (row.completer === "none" && rowName(row) === rowName(other) ? " without completion" : "");
  const shortly = (names, of) => names.length > MOST_NAMES ? `${names.slice(0, MOST_NAMES).join(", ")} and ${names.length - MOST_NAMES} more${of > MOST_TIED ? ` of the ${MOST_TIED} best` : ""}` : listed(names);

  // What the reader has, in words: "Visium of human breast".
  function having(params) {
    const what = [params.get("organism"), params.get("tissue")].filter(Boolean).join(" ");
    const by = spared.choice.technologyInFull(params.get("technology"));
    return by ? `${by}${what ? ` of ${what}` : ""}` : what || "all tissues";
  }

  // All that narrows a board, in words; empty where nothing does. A search only hides rows.
  const DATA = ["technology", "organism", "tissue", "tier", "dataset"], FURTHER = ["completer", "scope", "trust", "weights"];
  function asked(params) {
    const budget = params.get("budget") && spared.choice.BUDGETS.find(([value]) => value === params.get("budget"))?.[1];
    return [ofData(params), budget, ...FURTHER.filter((name) => params.get(name)).map((name) => `${name} ${params.get(name)}`)].filter(Boolean).join(", ");
  }
  // What of it chooses datasets.
  function ofData(params) {
    const named = params.getAll("dataset"), tier = params.get("tier");
    const data = ["technology", "organism", "tissue"].some((name) => params.get(name)) ? having(params) : "";
    return [data, tier ? `tier ${tier}` : "", named.length ? plural(named.length, "chosen dataset") : ""].filter(Boolean).join(", ");
  }
  // For views that follow the choice of datasets without showing it: what was asked for, with a way to all.
  function narrowed(view, params) {
    const what = ofData(params);
    if (!what) return "";
    const rest = new URLSearchParams([...params].filter(([key]) => !DATA.includes(key)));
    return el("p", { class: "narrowed" }, `Only on what was asked for: ${what}. `, el("a", { href: spared.address(view, rest) }, "On all datasets"));
  }
  // And for those that do not follow it.
  const everything = (params) => asked(params) ? el("p", { class: "narrowed" }, `Over all datasets and rows of the protocol, not only what was asked for: ${asked(params)}.`) : "";

  // How far the numbers of the best row carry: an interval, or what there is in its place.
  function certainty(board, choice, row) {
    const { metric, counted, k } = choice, show = metric.normalised ? score : write(metric);
    const [low, high] = choice.interval(row);
    if (known(low)) return ` (95 % interval ${show(low)} to ${show(high)})`;
    const values = counted.map((i) => choice.values(row)[i]).filter(known);
    // Of published numbers nobody here knows on how many slides they were scored, and how these spread.
    if (row.trust === "reported" && counted.length === 1) return " (published without an interval)";
    const [least, most] = [Math.min(...values), Math.max(...values)].map(show);
    if (counted.length > 1) return least === most ? " (the same on each dataset)" : ` (from ${least} to ${most} over the datasets)`;
    const slides = spared.scores(row, k).slides[counted[0]];
    const on = board.datasets[counted[0]], tested = on.slides.filter((s) => s.split === on.split).length;
    if (tested === 1 && !(slides && known(slides[0]))) return " (no interval: it is scored on a single slide)";
    return slides && known(slides[0]) ? ` (95 % interval over its slides, of ${metric.title}: ${write(metric)(slides[0])} to ${write(metric)(slides[1])})` : "";
  }

  // Of one dataset the value itself, of several the mean of what makes them comparable.
  function reached(board, choice, row) {
    const { metric, counted, k } = choice;
    const word = (text) => spared.words.metricTerm(metric, text);
    if (counted.length === 1) return [[`${spared.extreme(metric)} `, word(metric.title)], write(metric)(spared.scores(row, k).mean[counted[0]])];
    if (!metric.normalised) return [[`${spared.extreme(metric)} mean `, word(metric.title)], write(metric)(choice.of(row).overall)];
    return [["lowest mean ", spared.words.term("normalised", spared.measure(metric))], score(choice.of(row).overall)];
  }
  // What was done to the targets that it learnt from, before the word for it.
  function targets({ completer, trust }) {
    // Who published numbers need not have said what became of gaps.
    if (!completer || (completer === "none" && trust === "reported")) return "";
    const word = spared.words.term("completer", `completer ${completer}`), does = spared.values.get("index").completers?.[completer];
    if (completer === "none") return el("p", { class: "support" }, "Trained on the measurements as they are, gaps left out (", word, ").");
    return el("p", { class: "support" }, "Trained on measurements whose gaps were filled before (", word, does ? `: ${does.charAt(0).toLowerCase()}${does.slice(1)}` : "", "). Scores are of measured entries only.");
  }

  // What a normalised error is, where one stands here or in the chart beside.
  function relative({ metric, counted, of }, row, charted) {
    if (!metric.normalised) return "";
    return counted.length > 1 ? ` Normalised is ${spared.words.RELATIVE}.` : ` Normalised${charted ? ", as in the chart," : ""} it is ${score(of(row).overall)}: ${spared.words.RELATIVE}.`;
  }

  // Where the datasets are few, what the row reaches over all of them.
  function elsewhere(board, choice, row, params) {
    if (choice.counted.length >= choice.fewest || board.datasets.filter((c) => c.counts).length < choice.fewest) return "";
    const every = spared.choice.select(board, new URLSearchParams(params.get("metric") ? { metric: params.get("metric") } : {}));
    const show = every.metric.normalised ? score : write(every.metric), [low, high] = every.interval(row), { rank, overall } = every.of(row);
    return known(low) ? ` Over all ${every.counted.length} datasets of the protocol its mean ${spared.measure(every.metric)} is ${show(overall)} (95 % interval ${show(low)} to ${show(high)})${known(rank) ? `, rank ${rank}` : ""}.` : "";
  }

  // Whose features it stands on, under which licence, and whether these may know the test slides.
  function encoder(row) {
    const [used, licence, seen] = ["encoder", "encoder_licence", "may_have_seen"].map((key) => row.cells[key]?.[1]);
    if (!used || used === spared.none) return "";
    const told = seen && seen !== spared.none ? `; ${/^(may|has) /.test(seen) ? `it ${seen}` : `it was pretrained on ${seen}`}` : "";
    return el("p", { class: "support" }, `It sees patches through the encoder ${used}${licence && licence !== spared.none ? ` (licence ${licence})` : ""}${told}.`);
  }

  // That its scores are not all of what the command below runs.
  function apart(row) {
    const [hand, codes] = ["by_hand", "versions_of_code"].map((key) => row.cells[key]?.[0]);
    const told = [hand && `Set by hand for these scores: ${row.cells.by_hand[1]}.`, codes && `They are of ${codes} versions of its code.`].filter(Boolean);
    return told.length ? el("p", { class: "support" }, told.join(" ")) : "";
  }

  // Whether the scores are of donors that methods learnt from too, or of no slides of their own.
  function donors(board, counted) {
    const on = (found) => found.length < counted.length ? ` on ${shortly(found.map((i) => board.datasets[i].name), found.length)}` : "";
    const shared = counted.filter((i) => board.datasets[i].shared_donors.length || board.datasets[i].tier === "B"), none = counted.filter((i) => board.datasets[i].tier === "C");
    return [shared.length ? [` It is scored${on(shared)} on tissue of donors that it also learnt from (`, spared.words.term("tier", "tier B"), "): of new donors it may be worse."] : "",
      none.length ? [` No slides were kept apart for the test${on(none)} (`, spared.words.term("tier", "tier C"), ")."] : ""];
  }

  // That a method which cannot be right does as well, so that the recommendation is none.
  function control(board, choice, row) {
    const other = choice.unbeaten(row);
    return other ? el("p", {}, el("strong", {}, "No better than a ", spared.words.term("control", "control"), ": "), `${named(other)} reaches ${reached(board, choice, other)[1]}, so that nothing was learned by this measure.`) : "";
  }

  function support(board, choice, row) {
    const { counted } = choice;
    const names = counted.map((i) => board.datasets[i].name);
    const slides = counted.reduce((n, i) => n + board.datasets[i].slides.filter((s) => s.split === board.datasets[i].split).length, 0);
    const tested = `${slides ? `, scored on ${plural(slides, "slide")}` : ""}, ${plural(board.seeds.length, "seed")}`;
    const few = counted.length < choice.fewest ? ` ${counted.length === 1 ? "One dataset is" : `${counted.length} datasets are`} too few for an interval over datasets, and to tell methods apart: that takes ${choice.fewest}.` : "";
    const val = counted.filter((i) => board.datasets[i].split === "val").length;
    return el("p", { class: "support" }, `Supported by ${plural(counted.length, "dataset")} (`, names.slice(0, 6).map((name, i) => [i ? ", " : "", link(["dataset", name], name)]), names.length > 6 ? `, and ${names.length - 6} more` : "", `)${row.trust === "reported" ? ", as published" : tested}.`,
      val ? [" ", spared.words.term("val", `${val} of them scored on validation slides`), "."] : "", donors(board, counted), few);
  }

  // Why there are no maps.
  function unmapped(row, maps) {
    if (row.trust === "reported") return "No maps: of published scores there are no predictions to draw.";
    return Object.keys(maps).length ? "No maps of it: its predictions were not here when the page was built." : "No maps: the page was built without predictions to draw.";
  }

  function answer({ board, maps }, choice, params, charted) {
    const { counted, order } = choice;
    const chosen = ["technology", "organism", "tissue", "budget", "dataset", "tier"].some((each) => params.get(each));
    if (!order.length && !chosen) return [el("p", {}, el("strong", {}, "Nothing is ranked here yet."), " A row has a rank when every seed has a result on every dataset that counts.")];
    if (!counted.length) return [el("p", {}, el("strong", {}, `No dataset here is ${having(params)}.`), " Choose less, or see what there is in the ranking below.")];
    if (!order.length) return [el("p", {}, el("strong", {}, `No method here is complete on ${having(params)}${params.get("budget") ? " within this budget" : ""}.`), " Rows without a rank stand in the ranking below.")];
    const [best] = order, [what, value] = reached(board, choice, best);
    const tied = order.slice(1, MOST_TIED).filter((row) => choice.tied(row));
    const same = order.slice(1).filter((row) => choice.of(row).rank === 1);
    const second = board.headline.find((j) => j !== choice.k);
    const also = second !== undefined && known(choice.meanBy(best, second)) ? [", ", spared.words.metricTerm(spared.metricAt(board, second), spared.metricAt(board, second).title), ` ${write(spared.metricAt(board, second))(choice.meanBy(best, second))}`] : "";
    const next = order.find((row) => row.predictor !== best.predictor) || order[1];
    const cost = [known(best.seconds) ? `${duration(best.seconds)} of training under ${board.protocol}` : "", known(best.parameters) ? `${count(best.parameters)} trainable parameters` : ""].filter(Boolean).join(", ");
    const mapped = counted.map((i) => board.datasets[i].name).find((name) => maps[best.id]?.[name]);
    return [
      el("p", { class: "best" }, link(["method", best.id], rowName(best))),
      el("p", {}, `On ${ofData(params) || "all tissues"} it has the `, what, `${params.get("budget") ? " of the methods within this budget" : ""}: `, el("strong", {}, value), certainty(board, choice, best), also, `.${relative(choice, best, charted)}${elsewhere(board, choice, best, params)} ${cost ? `${spared.claimed(best, cost)}.` : ""}${best.trust === "reported" ? " Published numbers, not checked here." : best.trust === "brought" ? " Predictions that were made elsewhere and scored here." : ""}`),
      flagged(best.flags.filter(([, , dataset]) => !dataset || counted.some((i) => board.datasets[i].name === dataset))) || "",
      control(board, choice, best), targets(best),
      tied.length || same.length ? el("p", {}, el("strong", {}, "Tied with it: "), `${shortly([...new Set([...same, ...tied])].map(named), order.length)}. Their difference from it may be none.`) : counted.length >= choice.fewest ? el("p", {}, "No other is tied with it.") : "",
      support(board, choice, best), apart(best), encoder(best), params.get("budget") ? el("p", { class: "support" }, spared.words.term("gpu", "No GPU"), `: ${spared.choice.gpuSaid(best)}`) : "",
      board.comparable ? "" : el("p", { class: "support" }, spared.words.term("comparable", "Not comparable with published numbers"), "."),
      ...spared.running.own(best, params), ...spared.running.again(board, choice, best),
      el("p", { class: "actions" }, mapped ? link(["map", best.id, mapped], `Maps of its genes beside the tissue: ${mapped}`) : el("span", { class: "support" }, unmapped(best, maps)), link(["method", best.id], spared.running.isKnown(best.predictor) ? "What it is, and how it predicts an image" : "What is known of it"), next ? link(["compare", best.id, next.id], `Compare it with the next${next.predictor === best.predictor ? "" : " method"}, ${beside(next, best)}`) : "", link(["about"], "Glossary")),
    ];
  }

  function show(node, context, choice, params) {
    const rows = choice.order.length ? choice.order : [...choice.rows].filter((row) => !row.control && row.withdrawn === null);
    const key = spared.cost.kind(rows, params.get("cost"));
    const drawn = key && spared.cost.chart(choice, rows, key);
    const change = (event) => { const next = spared.state().params; next.set("cost", event.target.value); spared.replaceState(["table"], next); spared.render().then(() => document.getElementById("choose-cost")?.focus()); };
    const kinds = spared.cost.usable(rows);
    node.replaceChildren(el("div", { class: "answer" }, answer(context, choice, params, Boolean(drawn)), spared.reconcile.fold(context.protocol, params)),
      drawn ? el("figure", { class: "chart" }, el("figcaption", {}, "Error against ", kinds.length > 1 ? el("select", { id: "choose-cost", "aria-label": "Cost", onchange: change }, kinds.map((each) => el("option", { value: each, selected: each === key }, spared.cost.KINDS[each][0]))) : spared.cost.KINDS[key][0]), drawn, spared.cost.legend(drawn, choice.metric)) : "");
  }

  return { show, having, asked, narrowed, everything, named, beside };
})();
