"use strict";
// Explanations: of headings and badges on hover and focus, and all of them in the glossary.

spared.words = (() => {
  const { el, link } = spared;
  const tip = document.getElementById("tip");
  let shown = null;

  const TERMS = [
    ["rank", "Rank", "Place among the rows that are complete and compete, by the measure that ranks. Equal values share a rank. “tied with 1”: over the datasets drawn again (95 %), the difference from the row that is ranked first may be none."],
    ["completer", "Completer", "What fills unmeasured entries of the training target before a method learns from it: none leaves them out, median takes the median of neighbouring spots, SpaCKLE is a transformer. Scores count measured entries only, so that no completer is scored on its own guesses."],
    ["normalised", "Normalised error (Norm. MSE)", "The error on a dataset over the lowest of any method on it; 1 is best, 1.1 is ten per cent more. It makes datasets of different noise comparable, so that they can be averaged."],
    ["val", "val", "The dataset has no test slides under this protocol: its validation slides, which also chose checkpoint and learning rate, are reported. Such a score is a little too good."],
    ["tier", "Tier", "A: test slides of other donors. B: other sections of the same donors. C: no independent test slides."],
    ["control", "Control", "A method that cannot be right: gene-mean predicts the mean of each gene, shuffled deals predictions to random spots. What is not better than these has learnt nothing. Controls have no rank."],
    ["interval", "95 % interval", "Of the mean over datasets: the datasets are drawn again with replacement, 95 % of the means lie within. Below five datasets none is computed; single dots then show each dataset."],
    ["trust", "Trust", "Reported: published numbers, not checked. Re-scored: computed here from submitted predictions. Reproduced: trained and scored here. Imported: brought from another workspace."],
    ["pareto", "Pareto front", "The rows of which no other has both a lower error and a lower cost. A row behind the front costs more for less."],
    ["scores", "Scores", "Of the test slides, or of the validation slides where a dataset has no test slides (shown beside its name), over measured entries; seeds are averaged first."],
    ["flag", "⚑", "A flag: a doubt with its reason, on the row’s page and at the cell it is about."],
    ["undefined", "–", "Undefined: no result, or a score that this protocol leaves undefined, such as a correlation with a constant. Always sorted last."],
  ];

  let described = null;
  function show(node, focus = node) {
    described?.removeAttribute("aria-describedby");
    shown = node;
    described = focus;
    if (!node) { tip.hidden = true; return; }
    tip.textContent = node.dataset.tip;
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

  // A word with its explanation, which the keyboard reaches and which leads to the glossary.
  const term = (name, text) => { const found = TERMS.find(([key]) => key === name); return link(["about", name], text, { class: "term", "data-tip": found[2] }); };

  // What the metrics and the columns of this protocol are, in their own words.
  function glossary(board) {
    const ranks = (k) => k ? "" : " The protocol ranks by it.";
    const scale = (m) => m.perfect === null ? "" : ` A perfect prediction reaches ${m.perfect}.`;
    const entries = (pairs) => el("dl", {}, pairs.map(([key, title, text]) => [el("dt", { id: key ? `term-${key}` : null }, title), el("dd", {}, text)]));
    document.getElementById("glossary").replaceChildren(
      el("h3", {}, "Words"), entries(TERMS),
      el("h3", {}, "Metrics"), entries(board.metrics.map((m, k) => ["", m.title, `${m.summary || m.name}, per ${m.per}; ${m.better} is better.${scale(m)}${ranks(k)}`])),
      el("h3", {}, "Columns"), entries(board.columns.map((c) => ["", spared.ranking.titled(c, { title: "metric" }), c.explanation])));
  }

  return { term, glossary, explain: (name) => TERMS.find(([key]) => key === name)[2] };
})();
