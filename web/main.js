// The dashboard.
document.title = "Clawrden";
