// Times in words. What counts down does so by the page's own monotonic clock: the operator's
// computer may have another idea of what time it is than the warden.

export function duration(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const two = (number) => String(number).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}:${two(seconds % 60)}`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${two(Math.floor((seconds % 3600) / 60))} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export function took(ms) {
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return duration(ms);
}

export function clock(stamp) {
  const date = new Date(stamp);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB");
}

export function day(stamp) {
  const date = new Date(stamp);
  return Number.isNaN(date.getTime()) ? ""
    : `${date.toLocaleDateString("sv-SE")} ${date.toLocaleTimeString("en-GB")}`;
}
