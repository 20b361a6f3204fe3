"use strict";
// The table of the ranking: headings that sort, and the rows of one page as one text of HTML. Only
// what is shown is written, so that a filter of a thousand rows and forty datasets costs a page.

spared.grid = (() => {
  const { el, esc } = spared;
  const LENGTHS = [10, 25, 50, 100];
  const absent = (v) => v === null || v === undefined || v === "";

  // Rows in the order of a column; equal ones as they came, absent values last in both directions.
  function sorted(rows, value, direction) {
    const sign = direction === "desc" ? -1 : 1;
    const keys = rows.map((row, i) => { const v = value(row); return [typeof v === "string" ? v.toLowerCase() : v, i]; });
    const compare = ([a, i], [b, j]) => absent(a) || absent(b) ? absent(a) - absent(b) || i - j : sign * (a < b ? -1 : a > b ? 1 : 0) || i - j;
    return keys.sort(compare).map(([, i]) => rows[i]);
  }

  // The numbers of the pages that can be gone to from one: the first, the last, and those beside it.
  function numbers(page, pages) {
    const near = [0, page - 1, page, page + 1, pages - 1].filter((n) => n >= 0 && n < pages);
    return [...new Set(near)].flatMap((n, k, all) => k && n > all[k - 1] + 1 ? [null, n] : [n]);
  }

  // `sort(key, direction)` is called when a heading is pressed.
  function create(table, foot, sort) {
    const head = el("thead"), body = el("tbody"), said = el("span", { role: "status" }), pages = el("nav", { "aria-label": "Pages of the ranking", class: "pages" });
    const length = el("select", { "aria-label": "Rows a page" }, [...LENGTHS, 0].map((n) => el("option", { value: n, selected: n === 25 }, n || "All")));
    table.replaceChildren(head, body);
    foot.replaceChildren(said, el("label", {}, length, " rows a page"), pages);
    let shown = { columns: [], rows: [], of: "" }, page = 0;

    const heading = (c) => `<th scope="col" class="${c.className}" data-key="${esc(c.key)}" data-tip="${esc(c.tip)}"><button type="button" class="sort">${esc(c.title)}</button>${c.badges || ""}</th>`;
    const cells = (row) => shown.columns.map((c) => `<td class="${c.className}">${c.html(row)}</td>`).join("");

    function headings(columns, { key, direction }) {
      const text = `<tr>${columns.map(heading).join("")}</tr>`;
      if (head.text !== text) { head.innerHTML = text; head.text = text; }
      for (const th of head.firstElementChild.children) {
        if (th.dataset.key === key) th.setAttribute("aria-sort", direction === "desc" ? "descending" : "ascending");
        else th.removeAttribute("aria-sort");
      }
    }

    function write() {
      const { rows } = shown, many = Number(length.value) || Math.max(1, rows.length);
      const count = Math.max(1, Math.ceil(rows.length / many));
      page = Math.max(0, Math.min(page, count - 1));
      const some = rows.slice(page * many, (page + 1) * many);
      body.innerHTML = some.map((row) => `<tr class="${shown.rowClass(row)}">${cells(row)}</tr>`).join("") || `<tr><td class="none" colspan="${shown.columns.length}">No row matches these filters.</td></tr>`;
      said.textContent = rows.length ? `${page * many + 1} to ${page * many + some.length} of ${rows.length}` : "none";
      const step = (to, text, label, current) => el("button", { type: "button", class: "quiet", "data-to": to, "aria-label": label, "aria-current": current && "page", disabled: to < 0 || to >= count }, text);
      const places = numbers(page, count).map((n) => n === null ? el("span", {}, "…") : step(n, `${n + 1}`, `Page ${n + 1}`, n === page));
      pages.replaceChildren(...(count < 2 ? [] : [step(page - 1, "‹", "Previous page"), ...places, step(page + 1, "›", "Next page")]));
    }

    head.addEventListener("click", (event) => {
      const th = event.target.closest("th");
      const column = th && shown.columns.find((c) => c.key === th.dataset.key);
      if (!column) return;
      const first = column.descending ? "desc" : "asc", other = column.descending ? "asc" : "desc";
      sort(column.key, shown.sort.key === column.key && shown.sort.direction === first ? other : first);
    });
    pages.addEventListener("click", (event) => {
      const button = event.target.closest("button"), label = button?.getAttribute("aria-label");
      if (!button) return;
      page = Number(button.dataset.to);
      write();
      const again = [...pages.children].find((each) => each.getAttribute("aria-label") === label && !each.disabled);
      (again || pages.querySelector("[aria-current]"))?.focus();
    });
    length.addEventListener("change", () => { page = 0; write(); });

    // `of` names what is looked at: the page stays while it does.
    function draw(given) {
      if (given.of !== shown.of) page = 0;
      shown = given;
      headings(given.columns, given.sort);
      write();
    }
    return { draw };
  }

  return { create, sorted, numbers };
})();
