"use strict";
// What a protocol does in words, and how it differs from another; what changed since earlier builds.

spared.protocols = (() => {
  const { el, values, table } = spared;
  const { plural, listed } = spared.parts;

  function differences(one, other) {
    const { settings = {} } = values.get("index");
    const [mine, theirs] = [settings[one], settings[other]];
    if (!mine || !theirs) return null;
    const before = new Map(theirs.settings);
    return mine.settings.filter(([what, how]) => before.get(what) !== how).map(([what, how]) => [what, how, before.get(what)]);
  }

  // For the reader of one protocol: what it is, and what is otherwise under each of the others.
  function about(protocol, others) {
    const { settings = {} } = values.get("index");
    const mine = settings[protocol];
    if (!mine) return [];
    const rest = others.filter((other) => other !== protocol && settings[other]), unknown = others.filter((other) => !settings[other]);
    const folded = (text, ...inner) => rest.length > 1 ? el("details", {}, el("summary", {}, text), ...inner) : el("div", {}, ...inner);
    const every = table(["What", `Under ${protocol}`], mine.settings, `Settings of ${protocol}`);
    // Folded where something else stands beside it.
    return [others.length > 1 ? el("details", {}, el("summary", {}, `Every setting of ${protocol}`), every) : every,
      ...rest.map((other) => {
        const found = differences(protocol, other);
        if (!found.length) return el("p", {}, `${protocol} and ${other} do the same.`);
        return folded(`${other}: differs in ${plural(found.length, "setting")}`, table(["What", `Under ${protocol}`, `Under ${other}`], found, `${protocol} and ${other}`));
      }),
      unknown.length ? el("p", {}, `Of ${listed(unknown)} no settings were known when the page was built.`) : ""];
  }

  function show(node, protocol, all) {
    if (node.dataset.of === protocol) return;
    node.dataset.of = protocol;
    const told = about(protocol, all);
    const summary = all.length > 1 ? `What ${protocol} does, and how ${all.length === 2 ? "the other protocol differs" : "the other protocols differ"}` : `What ${protocol} does`;
    const what = values.get("index").settings?.[protocol]?.summary;
    node.replaceChildren(what ? el("p", { class: "purpose" }, el("strong", {}, protocol), `: ${what}`) : "", told.length ? el("details", {}, el("summary", {}, summary), ...told) : "");
  }

  function changes(row) {
    const items = values.get("index").changes || [];
    return items.flatMap((item) => item._changes.filter((each) => !row || (each.row === row.name && each.protocol === row.protocol)).map((each) => [item.date_published.slice(0, 10), each.protocol, each.text]));
  }

  function latest(node) {
    const found = changes(null).slice(0, 40);
    node.replaceChildren(...(found.length ? [el("h3", {}, "What changed"), el("p", {}, "From build to build; ", el("a", { href: "feed.json" }, "as a feed"), "."), table(["When", "Protocol", "What"], found, "Changes")] : []));
  }

  return { show, differences, changes, latest };
})();
