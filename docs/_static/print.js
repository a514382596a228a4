// the print view: everything unfolded, in light colours; as it was again afterwards
let folded = [], theme;
window.addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("article details:not([open])")];
  folded.forEach(d => d.open = true);
  theme = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  folded.forEach(d => d.open = false);
  document.documentElement.dataset.theme = theme;
});
