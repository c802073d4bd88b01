const items = [...document.querySelectorAll("[data-winner]")], least = document.getElementById("least");
const buttons = [...document.querySelectorAll(".filters button")], shown = document.getElementById("shown");
let winner = "";
const margin = item => Number(item.dataset.margin);
function apply() {
  let count = 0;
  for (const item of items) {
    const fits = (!winner || item.dataset.winner === winner) && margin(item) >= Number(least.value || 0);
    item.hidden = !fits;
    count += fits;
  }
  for (const item of winner ? [...items].sort((a, b) => margin(b) - margin(a)) : items) item.parentNode.append(item);
  shown.textContent = `${count} of ${items.length} rows`;
}
for (const button of buttons) button.addEventListener("click", () => {
  winner = button.dataset.choice;
  for (const each of buttons) each.setAttribute("aria-pressed", each === button);
  apply();
});
least.addEventListener("input", apply);
apply();
