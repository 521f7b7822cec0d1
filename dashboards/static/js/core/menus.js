// A menu closes on Escape and when something outside of it is touched.
const menus = [...document.querySelectorAll("details.person, details.more")];
addEventListener("pointerdown", (e) => {
  for (const menu of menus) if (menu.open && !menu.contains(e.target)) menu.open = false;
});
addEventListener("keydown", (e) => {
  if (e.key !== "Escape") return;
  for (const menu of menus) if (menu.open) { menu.open = false; menu.querySelector("summary").focus(); }
});
