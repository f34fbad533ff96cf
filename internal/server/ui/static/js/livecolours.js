// Each sequence has a colour for as long as it runs. The hues of numbers that follow
// each other are a golden angle apart, in a space where equal steps look equal.

export const dark = () => getComputedStyle(document.documentElement).colorScheme === "dark" ||
  !document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches;

export function colour(number) {
  const hue = (number * 137.508 + 230) % 360, lift = number % 2 ? 0.06 : 0;
  return `oklch(${(dark() ? 0.68 : 0.6) + lift} 0.125 ${hue.toFixed(1)})`;
}
