const items = [...document.querySelectorAll("[data-winner]")], least = document.getElementById("least");
const buttons = [...document.querySelectorAll(".filters button")], shown = document.getElementById("shown");
let winner = "";
function apply() {
  let count = 0;
  for (const item of items) {
    const fits = (!winner || item.dataset.winner === winner) && Number(item.dataset.margin) >= Number(least.value || 0);
    item.hidden = !fits;
    count += fits;
  }
  shown.textContent = `${count} of ${items.length} rows`;
}
for (const button of buttons) button.addEventListener("click", () => {
  winner = button.dataset.choice;
  for (const each of buttons) each.setAttribute("aria-pressed", each === button);
  apply();
});
least.addEventListener("input", apply);
apply();
