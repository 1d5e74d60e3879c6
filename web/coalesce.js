// Many reasons to fetch the same thing are one reason.

// A function that runs `action` at once, or, when it is running, once more afterwards, `gap` ms
// later. What it returns is settled when nothing is left to do.
export function coalesced(action, gap) {
  let running = null;
  let again = false;
  const run = async () => {
    let result;
    do {
      again = false;
      result = await action();
      if (again) await new Promise((resolve) => { setTimeout(resolve, gap); });
    } while (again);
    return result;
  };
  return () => {
    if (running) again = true;
    else running = run().finally(() => { running = null; });
    return running;
  };
}
