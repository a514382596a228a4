// The slider of the front page: which cells score at least so much, and what that costs elsewhere.
const slider = document.getElementById("front-threshold");
if (slider) {
  const found = JSON.parse(slider.dataset.found);
  const cells = [...document.querySelectorAll(".front-frame [data-score]")];
  const say = (name, text) => {
    document.querySelector(`[data-front=${name}]`).textContent = text;
  };
  const draw = () => {
    const threshold = Number(slider.value);
    let called = 0;
    for (const cell of cells) {
      const high = Number(cell.dataset.score) >= threshold;
      cell.classList.toggle("called", high);
      called += high;
    }
    say("threshold", threshold.toFixed(2));
    say("called", called);
    say("found", found[Math.round((threshold - Number(slider.min)) * 100)]);
  };
  slider.addEventListener("input", draw);
  slider.closest("[hidden]").hidden = false;
  draw();  // a browser that comes back keeps where the slider was
}
