"use strict";
// Explanations: of headings and badges on hover and focus, and all of them in the glossary.

spared.words = (() => {
  const { el, link } = spared;
  const tip = document.getElementById("tip");
  let shown = null;

  const TERMS = [
    ["rank", "Rank", "Place among the rows that are complete and compete, by the measure that ranks. Equal values share a rank. “tied with 1”: the 95 % interval, over datasets, of the difference from the row that is ranked first holds 0."],
    ["completer", "Completer", "What fills unmeasured entries of the training target before a method learns from it: none leaves them out, median takes the median of neighbouring spots, SpaCKLE is a transformer. Scores count measured entries only, so that no completer is scored on its own guesses."],
    ["normalised", "Normalised error (Norm. MSE)", "The error on a dataset over the record on it; 1 is the record, 1.1 is ten per cent more. The record is the lowest error of the methods that were scored here from predictions, have every result and bear no flag; where there is none, of published ones. It makes datasets of different noise comparable, so that they can be averaged. What sets no record (a control, an incomplete or flagged row, a number that nobody checked) can be below 1."],
    ["val", "val", "The dataset has no test slides under this protocol: its validation slides, which also chose checkpoint and learning rate, are reported. Such a score is a little too good."],
    ["tier", "Tier", "A: test slides of other donors. B: other sections of the same donors. C: no independent test slides."],
    ["control", "Control", "A method that cannot be right: gene-mean predicts the mean of each gene, shuffled deals predictions to random spots. What is not better than these has learnt nothing. Controls have no rank."],
    ["interval", "95 % interval", "Of the mean over datasets, by Student’s t: were other datasets of the kind tried, nineteen such intervals of twenty would hold the mean of all of them. Below five datasets none is computed."],
    ["trust", "Trust", "Reported: published numbers, not checked. Re-scored: computed here from submitted predictions. Reproduced: trained and scored here. Imported: brought from another workspace. Brought: scored here, by `spared-bench score`, from predictions made elsewhere."],
    ["comparable", "Not comparable with published numbers", "This protocol differs from that of the published benchmark: compare rows within its table only."],
    ["pareto", "Pareto front", "The rows of which no other has both a lower error and a lower cost. A row behind the front costs more for less."],
    ["gpu", "No GPU", "The budget leaves the methods that ran here on a processor alone, in the size that the protocol asks for, and of the others those whose plugin here says that their published size can be trained without a GPU. A method of which neither is known is left out."],
    ["st", "Spatial Transcriptomics (ST)", "The arrays that Visium followed. Their spots are 100 µm wide and mostly 200 µm apart; those of Visium are 55 µm wide and 100 µm apart."],
    ["scores", "Scores", "Of the test slides, or of the validation slides where a dataset has no test slides (shown beside its name), over measured entries; seeds are averaged first."],
    ["flag", "⚑", "A flag: a doubt with its reason, on the row’s page and at the cell it is about."],
    ["undefined", "–", "Undefined: no result, or a score that this protocol leaves undefined, such as a correlation with a constant. Always sorted last."],
  ];

  // Headings of the smaller tables; those that begin like one of BEGINNINGS stand for it.
  const HEADINGS = {
    "Row": "A method of one version and origin, with its completer.", "Method": "A method; its page says what it is and how to run it.", "Dataset": "A dataset; its page shows its slides and who is best on it.",
    "Predictor": "The name by which a command calls the method.", "Completer": TERMS[1][2], "Trust": TERMS.find(([key]) => key === "trust")[2], "Seed": "Of all that a training draws at random. Several show how much chance there is in a number.", "Status": "How the trial ended.", "Reason": "What the trial said when it ended.",
    "Average rank": "The mean of a row’s ranks on the datasets; 1 is first on each.", "Datasets won": "On how many datasets the row is the best; rows that tie share the win.", "Share": "Datasets won, of all that are compared.", "Datasets": "How many datasets both have.",
    "Better": "Which is better, or on how many datasets the completed one is.", "p": "How probable such a difference, or a larger one, is by chance alone, corrected for the number of tests.", "Effect": "Matched-pairs rank-biserial correlation: 1 where every dataset gets better, -1 where every one gets worse, 0 where they cancel.", "Difference": "The first less the second.",
    "Wins": "On how many datasets the method is the best, as published.", "without suspects: mean": "The mean without cells that are probably copied.", "wins": "The wins without cells that are probably copied.",
    "Slide": "A tissue section and its image.", "Donor": "Whose tissue it is. Sections of one donor resemble each other, so who is learnt from should not be scored on.", "Split": "train: learnt from. val: chosen on. test: scored on.", "Spots read": "Spots in the raw data.", "Spots kept": "Spots that the filters of the protocol leave.", "Spot, µm": "Diameter of a spot.", "Quality control": "Tests of the image and of where its spots lie; what fails is told on hover.",
    "Maps": "Measured and predicted genes beside the tissue.", "Against this row": "How far the mean of that row is from the mean of this one.", "Label": "The class that somebody drew.", "When": "The day of the build.", "Protocol": "The rules of a comparison: data, filters, budget, metrics. Rows of different protocols cannot be compared.", "What": "What is told of.", "Best there": "The method that is ranked first there on what you chose; its page.", "Its score": "By the metric that the protocol ranks by.", "Supported by": "The datasets of what you chose, and their technology.", "Results": "Whether they were made or checked here.", "What it takes": "Cost and needs of each.",
    "Rule": "How hidden entries are drawn: a share of all, or as many as were missing.", "Rate": "The share of the entries that is hidden.", "MSE": "Mean squared error.", "PCC": "Pearson correlation.", "Masks": "How many draws of hidden entries the numbers are over.", "Parameters": "Numbers that are trained.", "Fit": "Time of training.",
  };
  const BEGINNINGS = [["Mean norm. ", "Mean over datasets of the error over the record of each; 1 is the record."], ["Mean ", "Mean over the datasets that count."], ["Median change", "Median over the datasets of how much the error changes when targets are completed; below 0 is better."], ["Best by ", "The method with the best value on the dataset."], ["Under ", "How it is under that protocol."], ["within ", "The share of the truth within that central interval of the predicted distribution; of a right variance it is the number that is named."], ["as ", "How many spots were predicted to be of that class."]];
  let metrics = [];
  const heading = (text) => HEADINGS[text] || metrics.find((m) => m.title === text)?.summary || BEGINNINGS.find(([start]) => text.startsWith(start))?.[1] || null;

  let described = null;
  function show(node, focus = node) {
    described?.removeAttribute("aria-describedby");
    shown = node;
    described = focus;
    if (!node) { tip.hidden = true; return; }
    tip.textContent = node.dataset.tip.replace(/`([^`]*)`/g, "“$1”");
    tip.hidden = false;
    focus.setAttribute("aria-describedby", "tip");
    place();
  }
  function place() {
    if (!shown) return;
    const box = shown.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - own.width - 8));
    const below = box.bottom + 6 + own.height < innerHeight || box.top < own.height + 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${below ? box.bottom + 6 : box.top - own.height - 6}px`;
  }
  const tipped = (target) => target instanceof Element ? target.closest("[data-tip]") : null;
  document.addEventListener("mouseover", (event) => { const node = tipped(event.target); if (node !== shown && !tip.contains(event.target)) show(node); });
  document.addEventListener("focusin", (event) => { const node = tipped(event.target); show(node, node && event.target); });
  document.addEventListener("focusout", () => show(null));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") show(null); });
  document.addEventListener("scroll", place, { passive: true, capture: true });

  // What a normalised error is, in short: beside numbers of it.
  const RELATIVE = "an error over the record on its dataset; 1 is the record";
  // What the values of a metric are in, where they have no bounds: what the protocol predicts.
  const target = (protocol) => (spared.values.get("index").settings?.[protocol]?.settings || []).find(([what]) => what === "Target")?.[1];
  function unit(protocol, metric) {
    const of = target(protocol);
    return of && !metric.comparable && metric.perfect !== null ? `, of ${of}` : "";
  }

  // A word with its explanation, which the keyboard reaches and which leads to the glossary.
  const term = (name, text) => { const found = TERMS.find(([key]) => key === name); return link(["about", name], text, { class: "term", "data-tip": found[2] }); };

  const metricTerm = (metric, text) => link(["about", `metric-${metric.name}`], text, { class: "term", "data-tip": told(metric) });
  const told = (m) => `${m.summary || m.name}, per ${m.per}${m.per === "entry" ? "" : ", of which the mean is shown"}; ${m.better} is better.${m.perfect === null ? "" : ` A perfect prediction reaches ${m.perfect}.`}`;

  // What the metrics and the columns of this protocol are, in their own words.
  function glossary(board) {
    metrics = board.metrics;
    const ranks = (k) => k ? "" : " The protocol ranks by it.";
    const entries = (pairs) => el("dl", {}, pairs.map(([key, title, text]) => [el("dt", { id: key ? `term-${key}` : null }, title), el("dd", {}, spared.parts.coded(text))]));
    const titles = new Set();
    const titled = (c) => {
      const title = spared.parts.capital(spared.ranking.titled(c, { title: "a metric", error: "error" })), again = titles.has(title);
      titles.add(title);
      return again ? `${title}, on one dataset` : title;
    };
    // A column that a word explains stands with it; of the rank it says more than the word.
    const named = new Set(TERMS.map(([, title]) => title)), further = (key) => key === "rank" ? board.columns.find((c) => c.key === key)?.explanation : "";
    const columns = board.columns.filter((c) => !named.has(c.title)).map((c) => ["", titled(c), c.explanation]);
    document.getElementById("glossary").replaceChildren(
      el("h3", {}, "Words"), entries(TERMS.map(([key, title, text]) => [key, title, [text, further(key)].filter(Boolean).join(" ")])),
      el("h3", {}, "Metrics"), entries(board.metrics.map((m, k) => [`metric-${m.name}`, m.title, `${told(m)}${ranks(k)}`])),
      el("h3", { id: "term-columns" }, "Columns"), entries(columns));
  }

  // Bring an entry of the glossary into sight and mark it.
  function goTo(name) {
    for (const each of document.querySelectorAll("#glossary .meant")) each.classList.remove("meant");
    const entry = name && document.getElementById(`term-${name}`);
    if (!entry) return;
    entry.classList.add("meant");
    entry.scrollIntoView({ block: entry.matches("h3") ? "start" : "center" });
  }

  return { term, metricTerm, RELATIVE, unit, target, glossary, goTo, heading, explain: (name) => TERMS.find(([key]) => key === name)[2] };
})();
