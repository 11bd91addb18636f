/** All limit sets: sorted, filtered, and only the rows that are seen are in the document, so three thousand are as quick as three. */
import { readableOn } from "../core/colours";
import { grouped, scientific } from "../core/fate";
import type { Scene, SetRow } from "../core/scene";
import { element, make, show } from "./dom";

const HEIGHT = 56; // of a row, as in the style sheet
const AROUND = 6; // rows beyond the edge

interface Column {
  head: string;
  note: string;
  value: (row: SetRow) => number | string;
  cell: (row: SetRow) => string;
}

const number = (value: number | null | undefined, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const percent = (share: number) => {
  const value = 100 * share;
  if (value <= 0 || value >= 100) return `${Math.round(value)} %`;
  if (value < 0.1) return "<0.1 %";
  if (value > 99.9) return ">99.9 %";
  return `${value < 9.95 || value >= 99 ? value.toFixed(1) : Math.round(value)} %`;
};

export class SetTable {
  /** The sets as they stand in the table. */
  order: number[] = [];
  sorted: readonly [column: number, down: boolean] | undefined;
  private readonly columns: Column[];
  private readonly box = element("sets-box");
  private readonly body = element<HTMLTableSectionElement>("sets-body");
  private readonly filter = element<HTMLInputElement>("sets-filter");
  private chosen = -1;
  private drawn = "";
  /** Nothing is in the document before somebody can have seen it. */
  private awaited = true;

  constructor(
    private readonly scene: Scene,
    private readonly choose: (set: number) => void,
    private readonly changed: () => void,
  ) {
    const measure = scene.about.nulls?.measure ?? "cosine";
    this.columns = [
      { head: "set", note: "Sort by name", value: (row) => row.name.length * 1e9 + [...row.name].reduce((n, c) => n * 60 + c.charCodeAt(0), 0), cell: (row) => row.kind },
      { head: "share of starts", note: "Sort by share", value: (row) => row.share ?? -1, cell: (row) => (row.share === null ? "none: seen on the map only" : `${percent(row.share)} (${percent(row.interval![0])} – ${percent(row.interval![1])})`) },
      { head: "ρ", note: "Sort by spectral radius", value: (row) => row.rho ?? 99, cell: (row) => number(row.rho) },
      { head: "‖J‖₂", note: "Sort by spectral norm", value: (row) => row.norm ?? 99, cell: (row) => number(row.norm) },
      { head: "steps", note: "Sort by steps", value: (row) => row.steps ?? -1, cell: (row) => (row.steps === null ? "–" : grouped(Math.round(row.steps))) },
      { head: measure, note: `Sort by ${measure} to the nearest ${scene.about.noun}`, value: (row) => row.nearest?.coefficient ?? -9, cell: (row) => (row.nearest ? row.nearest.coefficient.toFixed(3) : "–") },
      { head: "p", note: "Sort by p", value: (row) => row.nearest?.p ?? 2, cell: (row) => (row.nearest?.p == null ? "–" : scientific(row.nearest.p)) },
    ];
    const head = element("sets-head");
    head.replaceChildren(
      ...this.columns.map((column, i) => {
        const button = make("button", { type: "button", title: column.note }, column.head);
        button.addEventListener("click", () => {
          this.sortBy(i, this.sorted?.[0] === i ? !this.sorted[1] : i > 0 && i !== 6);
          this.changed();
        });
        return make("th", { scope: "col", "aria-sort": "none", class: `c${i}` }, button);
      }),
    );
    this.filter.addEventListener("input", () => {
      this.arrange();
      this.changed();
    });
    this.box.addEventListener("scroll", () => this.draw());
    element("sets").setAttribute("aria-rowcount", String(scene.about.sets.length + 1));
    this.arrange();
  }

  /** Show its rows from now on: laying them out takes as long as the rest of the page. */
  open(): void {
    this.awaited = false;
    new ResizeObserver(() => this.draw()).observe(this.box);
    this.draw();
    if (this.chosen >= 0) this.select(this.chosen, true);
  }

  /** Mark a set and bring its row into view. */
  select(set: number, scroll: boolean): void {
    this.chosen = set;
    const place = this.order.indexOf(set);
    if (scroll && place >= 0 && !this.awaited) {
      const top = place * HEIGHT;
      if (top < this.box.scrollTop || top + HEIGHT > this.box.scrollTop + this.box.clientHeight - 40) this.box.scrollTop = top - this.box.clientHeight / 3;
    }
    this.drawn = "";
    this.draw();
  }

  get filtered(): string {
    return this.filter.value;
  }

  /** The sets are those of another checkpoint. */
  renew(): void {
    this.chosen = -1;
    element("sets").setAttribute("aria-rowcount", String(this.scene.about.sets.length + 1));
    this.arrange();
  }

  /** As an address remembers it. */
  restore(filter: string, sort: readonly [column: number, down: boolean] | undefined): void {
    this.filter.value = filter;
    if (sort && sort[0] < this.columns.length) this.sortBy(...sort);
    else if (filter) this.arrange();
  }

  private sortBy(column: number, down: boolean): void {
    this.sorted = [column, down];
    element("sets-head").querySelectorAll("th").forEach((head, i) => head.setAttribute("aria-sort", i === column ? (down ? "descending" : "ascending") : "none"));
    this.arrange();
  }

  private arrange(): void {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = this.scene.about.sets;
    const said = (row: SetRow) => `${row.name} ${row.kind} ${row.stable === 1 ? "attracts" : row.stable === 0 ? "unstable" : "unknown"} ${row.nearest?.called ?? ""}`.toLowerCase();
    this.order = rows.map((_, i) => i).filter((i) => words.every((word) => said(rows[i]!).includes(word)));
    if (this.sorted) {
      const [column, down] = this.sorted;
      const value = this.columns[column]!.value;
      this.order.sort((a, b) => {
        const [x, y] = [value(rows[a]!), value(rows[b]!)];
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1) || a - b;
      });
    }
    element("sets-count").textContent = `${grouped(this.order.length)} of ${grouped(rows.length)} limit sets`;
    this.drawn = "";
    this.draw();
  }

  private draw(): void {
    if (this.awaited) return;
    const first = Math.max(0, Math.floor(this.box.scrollTop / HEIGHT) - AROUND);
    const last = Math.min(this.order.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / HEIGHT) + AROUND);
    if (this.drawn === `${first}-${last}`) return;
    this.drawn = `${first}-${last}`;
    const gap = (rows: number) => (rows > 0 ? [make("tr", { class: "gap", "aria-hidden": "true", style: `height:${rows * HEIGHT}px` }, make("td", { colspan: String(this.columns.length) }))] : []);
    const focused = document.activeElement?.closest("tr")?.getAttribute("data-set");
    this.body.replaceChildren(...gap(first), ...this.order.slice(first, last).map((set, i) => this.row(set, first + i)), ...gap(this.order.length - last));
    if (focused) this.body.querySelector<HTMLElement>(`tr[data-set="${focused}"] button`)?.focus({ preventScroll: true });
  }

  private row(set: number, place: number): HTMLTableRowElement {
    const row = this.scene.about.sets[set]!;
    const disc = make("span", { class: "disc", style: `--hue:${row.hue};color:${readableOn(row.hue)};text-shadow:none` }, row.name);
    const button = make("button", { type: "button", class: "pick", "aria-pressed": String(set === this.chosen) }, disc);
    for (const name of ["set_images", "near_images"] as const) {
      const picture = row.nearest || name === "set_images" ? this.scene.picture(name, set) : undefined;
      if (!picture) continue;
      const canvas = make("canvas", { class: "pixels", role: "img", "aria-label": name === "set_images" ? "decoded" : `nearest ${this.scene.about.noun}, ${row.nearest?.which ?? ""}` });
      show(canvas, picture);
      button.append(canvas);
    }
    button.addEventListener("click", () => this.choose(set));
    const cells = this.columns.map((column, i) => {
      const cell = make("td", { class: `c${i}` });
      if (i === 0) cell.append(button, make("span", {}, `${column.cell(row)}, ${row.stable === 1 ? "attracts" : row.stable === 0 ? "unstable" : "stability unknown"}`));
      else cell.append(column.cell(row));
      if (i === 6 && row.nearest?.called) cell.append(" ", make("span", { class: "badge" }, row.nearest.called));
      return cell;
    });
    const made = make("tr", { "data-set": String(set), "aria-rowindex": String(place + 2) }, ...cells);
    if (set === this.chosen) made.className = "chosen";
    return made;
  }
}
