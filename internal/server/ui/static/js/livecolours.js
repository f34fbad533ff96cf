// Each sequence has a colour for as long as it runs. Neighbouring numbers get hues
// that are far apart.

const hues = [200, 28, 140, 280, 350, 90, 230, 50, 170, 310, 10, 115];

export const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
  !document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches;

export function colour(number) {
  const hue = hues[number % hues.length];
  return dark() ? `hsl(${hue} 48% 58%)` : `hsl(${hue} 52% 48%)`;
}
