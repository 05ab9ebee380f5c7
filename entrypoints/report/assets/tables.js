// Tables that sort by a click on a heading or by Enter on it, and the grid of monthly returns.

/**
 * One kind of column: how a value reads, how it sorts, whether its sign has a colour.
 * Decimal texts become numbers here, for sorting only.
 */
const KINDS = {
  text: { show: (value) => value, sort: (value) => value.toLowerCase(), text: true },
  words: { show: words, sort: (value) => value.toLowerCase(), text: true },
  count: { show: count, sort: Number },
  amount: { show: grouped, sort: Number },
  signed: { show: signed, sort: Number, tone: true },
  percent: { show: percentText, sort: Number },
  hold: { show: durationText, sort: Number },
  time: { show: timeText, sort: Number },
};

/**
 * A sortable table and the line above it. `columns` are [key, label, kind, act]: with `act`, the cell is a button
 * that calls it with the row.
 * `foot` has the texts of a last line, by key. Rows without a value in the sorted column stay at the end.
 */
function sortableTable({ caption, columns, rows, foot = null, sortBy = null, limited = false, rowClass = () => "" }) {
  const body = make("tbody");
  const headings = columns.map(([key, label, kind]) => {
    const button = make("button", { type: "button" }, label);
    const heading = make("th", { scope: "col", class: KINDS[kind].text ? "text" : "" }, button);
    button.addEventListener("click", () => sort(key, heading.getAttribute("aria-sort") === firstWay(kind) ? -1 : 1));
    return heading;
  });
  const table = make("table", { "aria-label": caption }, make("thead", {}, make("tr", {}, ...headings)), body);
  if (foot) table.append(make("tfoot", {}, make("tr", {}, ...columns.map((column) => footCell(column, foot)))));

  /** Numbers start with the largest, names with A; `way` -1 is the other way round. */
  function sort(key, way) {
    const place = columns.findIndex((column) => column[0] === key),
      kind = columns[place][2];
    const ascending = (firstWay(kind) === "ascending") === (way === 1);
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[place].setAttribute("aria-sort", ascending ? "ascending" : "descending");
    fill([...rows].sort((one, other) => compared(one[key], other[key], KINDS[kind].sort, ascending ? 1 : -1)));
  }

  function fill(ordered) {
    body.replaceChildren(
      ...ordered.map((row) => {
        return make("tr", { class: rowClass(row) }, ...columns.map((column) => bodyCell(column, row)));
      }),
    );
  }

  if (sortBy) sort(sortBy, 1);
  else fill(rows);
  const frame = { class: limited ? "scroll limited" : "scroll", role: "region", "aria-label": caption, tabindex: "0" };
  return [make("p", { class: "hint" }, caption), make("div", frame, table)];
}

function firstWay(kind) {
  return KINDS[kind].text ? "ascending" : "descending";
}

function compared(one, other, valueOf, way) {
  if (one === null || other === null) return (one === null) - (other === null);
  const a = valueOf(one),
    b = valueOf(other);
  return a < b ? -way : a > b ? way : 0;
}

function bodyCell([key, , kind, act], row) {
  const { show, text, tone } = KINDS[kind],
    value = row[key];
  const shown = value === null ? NONE : show(value);
  const cell = make("td", { class: [text ? "text name" : "", tone ? toneOf(value) : ""].join(" ").trim() });
  if (text) cell.title = shown;
  if (act && act.possible(row)) {
    const button = make("button", { type: "button", title: act.title(row) }, shown);
    button.addEventListener("click", () => act.run(row));
    cell.append(button);
  } else {
    cell.append(shown);
  }
  return cell;
}

function footCell([key, , kind], foot) {
  const { show, text, tone } = KINDS[kind],
    value = foot[key];
  const cell = make("td", {
    class: [text ? "text" : "", tone && value !== undefined ? toneOf(value) : ""].join(" ").trim(),
  });
  cell.append(value === undefined ? "" : show(value));
  return cell;
}

/** Years down, months across; on a narrow page every year is a block of its own. */
function monthGrid(months, years) {
  const strongest = Math.max(...months.map((row) => Math.abs(Number(row.return_pct ?? 0))), 0.01);
  const head = make("tr", {}, make("th", { scope: "col" }, "Year"));
  for (const name of [...MONTHS, "Total"]) head.append(make("th", { scope: "col" }, name));
  const body = make("tbody");
  for (const { year, return_pct: whole } of years) {
    const line = make("tr", {}, make("th", { scope: "row" }, String(year)));
    MONTHS.forEach((name, place) => {
      line.append(
        monthCell(
          name,
          months.find((row) => row.year === year && row.month === place + 1),
          strongest,
        ),
      );
    });
    line.append(
      make("td", { class: `year ${toneOf(whole)}` }, make("span", { class: "of" }, "Total"), signedPercent(whole)),
    );
    body.append(line);
  }
  return make("table", { class: "months" }, make("thead", {}, head), body);
}

function monthCell(name, row, strongest) {
  if (!row) return make("td", { class: "none muted" }, make("span", { class: "of" }, name), NONE);
  const cell = make("td", { class: "heat" }, make("span", { class: "of" }, name), signedPercent(row.return_pct));
  if (row.partial) cell.append("\u00a0*");
  const days = row.partial ? " (only a part of the month)" : "";
  cell.title = `${name} ${row.year}${days}: ${grouped(row.start)} to ${grouped(row.end)}`;
  const value = Number(row.return_pct ?? 0);
  const depth = (0.08 + (0.42 * Math.abs(value)) / strongest).toFixed(3);
  cell.style.setProperty(
    "--heat",
    value === 0 ? "transparent" : `rgb(var(--heat-${value > 0 ? "gain" : "loss"}) / ${depth})`,
  );
  return cell;
}
