// what scrolls sideways fades where it goes on; the fade leaves at the end
const SCROLLS = "div.highlight pre, .bd-article table, .picture, .formula, .cell_output pre";

function fade(box) {
  const rest = box.scrollWidth - box.clientWidth;
  box.classList.toggle("more-right", rest > 2 && box.scrollLeft < rest - 2);
  box.classList.toggle("more-left", rest > 2 && box.scrollLeft > 2);
}

document.addEventListener("DOMContentLoaded", () => {
  const boxes = [...document.querySelectorAll("article.bd-article")]
    .flatMap(article => [...article.querySelectorAll(SCROLLS)]);
  boxes.forEach(box => box.addEventListener("scroll", () => fade(box), {passive: true}));
  const sizes = new ResizeObserver(entries => entries.forEach(entry => fade(entry.target)));
  boxes.forEach(box => sizes.observe(box));  // tells once at the start, and when a fold opens
  document.querySelectorAll("article .picture img").forEach(image =>
    image.addEventListener("load", () => fade(image.closest(".picture"))));
});
