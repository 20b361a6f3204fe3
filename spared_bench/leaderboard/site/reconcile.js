"use strict";
// The same question under other protocols: which method is best there, and which of them to go by.

spared.reconcile = (() => {
  const { el, rowName, score, write } = spared;
  const { known, plural } = spared.parts;
  const ASKED = ["technology", "organism", "tissue"];
  const TRUST = { reproduced: "made here", "re-scored": "scored here", reported: "published, not checked here", imported: "from another workspace", brought: "scored here, made elsewhere" };

  // The other protocols that have data of what is asked for, as far as the index tells.
  function others(protocol, params) {
    const { protocols, offers } = spared.values.get("index");
    const fits = (offered) => ASKED.every((what) => !params.get(what) || (offered[what] || []).some((value) => spared.choice.fits({ [what]: value }, params.get(what), what)));
    return protocols.filter((each) => each !== protocol && offers[each]?.technology && fits(offers[each]));
  }

  async function best(protocol, params) {
    const board = await spared.ofProtocol(protocol, "board");
    const choice = spared.choice.select(board, params), [row] = choice.order;
    const next = new URLSearchParams(params);
    next.set("protocol", protocol);
    const { metric, k, counted } = choice, way = (view, text) => el("a", { href: spared.address(view, next) }, text);
    if (!counted.length) return null; // it has each of them, and no dataset that has all
    if (!row) return [way(["table"], protocol), "no method is complete on it", spared.none, plural(counted.length, "dataset"), spared.none];
    const one = counted.length === 1, show = metric.normalised && !one ? score : write(metric);
    const value = one ? spared.scores(row, k).mean[counted[0]] : choice.of(row).overall, [low, high] = choice.interval(row);
    return [way(["table"], protocol), way(["method", row.id], spared.choose.named(row)),
      `${one ? metric.title : `mean ${spared.measure(metric)}`} ${show(value)}${known(low) ? ` (95 %: ${show(low)} to ${show(high)})` : ""}`,
      `${plural(counted.length, "dataset")}: ${[...new Set(counted.map((i) => spared.choice.technologyInFull(board.datasets[i].technology)).filter(Boolean))].join(", ") || "technology not said"}`,
      TRUST[row.trust] || row.trust];
  }

  // A fold, which reads the other boards when it is opened.
  function fold(protocol, params) {
    const found = others(protocol, params);
    if (!found.length) return "";
    const question = new URLSearchParams([...params].filter(([key]) => [...ASKED, "budget"].includes(key)));
    const inner = el("div", {}, el("p", {}, "Reading them …"));
    async function open() {
      const lines = await Promise.all(found.map((each) => best(each, question).catch(() => [each, "cannot be read", spared.none, spared.none, spared.none])));
      const told = lines.filter(Boolean);
      inner.replaceChildren(...(told.length ? [el("p", {}, WHICH), spared.table(["Protocol", "Best there", "Its score", "Supported by", "Results"], told, "The same question under other protocols")] : [el("p", {}, "None has a dataset of all that you chose.")]));
    }
    return el("details", { class: "reconcile", ontoggle: (event) => { if (event.target.open) open(); } },
      el("summary", {}, `What ${found.length === 1 ? found[0] : `${found.length} other protocols`} say${found.length === 1 ? "s" : ""} to this, and which to go by`), inner);
  }
  const WHICH = "Protocols differ in data, genes, target and budget of training, so another method may be best, and their numbers cannot be compared with each other. Go by the one whose datasets are most like your slides; of several, by the one with more datasets, and sooner by results that were made here than by published ones that nobody checked.";

  return { fold };
})();
