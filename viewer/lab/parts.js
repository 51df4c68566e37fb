// Elements, menus and colours that every part of the page shares.

/** An element of HTML; attributes that are functions listen to the event of that name. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The class of an epoch's colour: there are six, and the label tells epochs apart beyond them. */
export function epochClass(epoch) { return epoch > 0 ? `e${(epoch - 1) % 6 + 1}` : "e0"; }

/** The epoch that a message speaks for. */
export function epochOf(words) {
  const found = /epoch (\d+)/.exec(words);
  return found ? Number(found[1]) : 0;
}

/** Makes an element act as a button, for the mouse and for the keyboard. */
export function asButton(element, label, act) {
  element.setAttribute("role", "button");
  element.setAttribute("tabindex", "0");
  // Who speaks to the browser says what is to be read there, so the name begins with that.
  const texts = [...element.querySelectorAll("text")];
  for (const text of texts) text.textContent += " ";
  const shown = (texts.length ? texts.map((text) => text.textContent).join("") : element.textContent).trim();
  element.setAttribute("aria-label", shown && !label.startsWith(shown) ? `${shown}: ${label}` : label);
  element.addEventListener("click", (event) => { event.stopPropagation(); act(element); });
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    act(element);
  });
  return element;
}

let openMenu = null;

/** Closes the open menu; the focus goes back to what it was opened from. */
export function closeMenu(back = true) {
  if (!openMenu) return;
  const { menu, from } = openMenu;
  openMenu = null;
  menu.remove();
  if (back && from.isConnected) from.focus();
}

/** Opens a menu beside `from`. `groups` are lists of [label, act], with a heading before each. */
export function showMenu(from, title, groups) {
  closeMenu(false);
  const menu = el("div", { class: "menu", role: "menu", "aria-label": title }, el("p", { class: "menu-title" }, title));
  for (const [heading, items] of groups) {
    if (items.length === 0) continue;
    if (heading) menu.append(el("p", { class: "menu-head" }, heading));
    for (const [label, act] of items) {
      const choose = () => { closeMenu(); act(); };
      menu.append(el("button", { type: "button", role: "menuitem", class: "menu-item", click: choose }, label));
    }
  }
  document.body.append(menu);
  const box = from.getBoundingClientRect();
  const [width, height] = [menu.offsetWidth, menu.offsetHeight];
  const left = Math.max(8, Math.min(box.left + box.width / 2 - width / 2, innerWidth - width - 8));
  const below = box.bottom + 6;
  const top = below + height < innerHeight - 8 ? below : Math.max(8, box.top - height - 6);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
  openMenu = { menu, from };
  const items = [...menu.querySelectorAll("button")];
  menu.addEventListener("keydown", (event) => {
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (event.key === "Escape" || event.key === "Tab") closeMenu();
    else if (to !== undefined) items[(to + items.length) % items.length]?.focus();
    else if (event.key !== "Enter" && event.key !== " ") return;
    if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
    event.stopPropagation();
  });
  items[0]?.focus();
}

addEventListener("pointerdown", (event) => {
  if (openMenu && !openMenu.menu.contains(event.target)) closeMenu(false);
});

/** Does the reader want things to move? */
export function mayMove() { return !matchMedia("(prefers-reduced-motion: reduce)").matches; }
