/*
 * The options of git diff and git log and their relatives, which share most of them. Included by
 * option-tables-git.c alone.
 */
#pragma once

#include "policy/option-tables.h"

/* git-diff(1), "OPTIONS": shared by diff, show, log and the plumbing. */
#define DIFF_OPTIONS                                                                               \
    FLAG("pu", "patch"), FLAG("s", "no-patch"), VALUE("U", "unified"), VALUE("", "output"),        \
        VALUE("", "output-indicator-new"), FLAG("", "raw"), FLAG("", "patch-with-raw"),            \
        FLAG("", "indent-heuristic"), FLAG("", "no-indent-heuristic"), FLAG("", "minimal"),        \
        FLAG("", "patience"), FLAG("", "histogram"), VALUE("", "anchored"),                        \
        VALUE("", "diff-algorithm"), MAYBE("", "stat"), FLAG("", "compact-summary"),               \
        FLAG("", "numstat"), FLAG("", "shortstat"), MAYBE("X", "dirstat"), FLAG("", "summary"),    \
        FLAG("", "patch-with-stat"), FLAG("z", "null"), FLAG("", "name-only"),                     \
        FLAG("", "name-status"), MAYBE("", "submodule"), MAYBE("", "color"), FLAG("", "no-color"), \
        MAYBE("", "color-moved"), FLAG("", "no-color-moved"), MAYBE("", "word-diff"),              \
        VALUE("", "word-diff-regex"), MAYBE("", "color-words"), FLAG("", "no-renames"),            \
        FLAG("", "rename-empty"), FLAG("", "no-rename-empty"), FLAG("", "check"),                  \
        VALUE("", "ws-error-highlight"), FLAG("", "full-index"), FLAG("", "binary"),               \
        MAYBE("", "abbrev"), FLAG("", "no-abbrev"), MAYBE("B", "break-rewrites"),                  \
        MAYBE("M", "find-renames"), MAYBE("C", "find-copies"), FLAG("", "find-copies-harder"),     \
        FLAG("D", "irreversible-delete"), VALUE("l", ""), VALUE("", "diff-filter"),                \
        VALUE("S", ""), VALUE("G", ""), VALUE("", "find-object"), FLAG("", "pickaxe-all"),         \
        FLAG("", "pickaxe-regex"), VALUE("O", ""), VALUE("", "skip-to"), VALUE("", "rotate-to"),   \
        FLAG("R", ""), MAYBE("", "relative"), FLAG("", "no-relative"), FLAG("a", "text"),          \
        FLAG("", "ignore-cr-at-eol"), FLAG("", "ignore-space-at-eol"),                             \
        FLAG("b", "ignore-space-change"), FLAG("w", "ignore-all-space"),                           \
        FLAG("", "ignore-blank-lines"), VALUE("I", "ignore-matching-lines"),                       \
        VALUE("", "inter-hunk-context"), FLAG("W", "function-context"), FLAG("", "exit-code"),     \
        FLAG("", "quiet"), FLAG("", "ext-diff"), FLAG("", "no-ext-diff"), FLAG("", "textconv"),    \
        FLAG("", "no-textconv"), MAYBE("", "ignore-submodules"), VALUE("", "src-prefix"),          \
        VALUE("", "dst-prefix"), FLAG("", "no-prefix"), VALUE("", "line-prefix"),                  \
        FLAG("", "ita-invisible-in-index"), FLAG("", "no-notes")

static const Option diff_options[] = {
    DIFF_OPTIONS,
    FLAG("", "cached staged"),
    FLAG("", "merge-base"),
    FLAG("", "no-index"),
};

static const Option diff_plumbing_options[] = {
    DIFF_OPTIONS,  FLAG("", "cached"),     FLAG("m", ""),     FLAG("r", ""),
    FLAG("t", ""), FLAG("", "root"),       FLAG("", "stdin"), FLAG("", "no-commit-id"),
    FLAG("c", ""), FLAG("", "merge-base"), FLAG("q", ""),
};

/* git-log(1), git-show(1). */
static const Option log_options[] = {
    DIFF_OPTIONS,
    FLAG("", "oneline"),
    MAYBE("", "pretty"),
    VALUE("", "format"),
    FLAG("", "abbrev-commit"),
    FLAG("", "no-abbrev-commit"),
    MAYBE("", "decorate"),
    FLAG("", "no-decorate"),
    VALUE("", "decorate-refs"),
    VALUE("", "decorate-refs-exclude"),
    FLAG("", "source"),
    FLAG("", "graph"),
    FLAG("", "no-graph"),
    FLAG("", "all"),
    MAYBE("", "branches"),
    MAYBE("", "tags"),
    MAYBE("", "remotes"),
    VALUE("n", "max-count"),
    VALUE("", "skip"),
    VALUE("", "since after"),
    VALUE("", "until before"),
    VALUE("", "author"),
    VALUE("", "committer"),
    VALUE("", "grep"),
    FLAG("", "all-match"),
    FLAG("", "invert-grep"),
    FLAG("i", "regexp-ignore-case"),
    FLAG("E", "extended-regexp"),
    FLAG("F", "fixed-strings"),
    FLAG("P", "perl-regexp"),
    FLAG("", "merges"),
    FLAG("", "no-merges"),
    FLAG("", "first-parent"),
    FLAG("", "reverse"),
    FLAG("", "follow"),
    FLAG("", "topo-order"),
    FLAG("", "date-order"),
    FLAG("", "author-date-order"),
    VALUE("", "date"),
    FLAG("", "relative-date"),
    FLAG("", "parents"),
    FLAG("", "children"),
    FLAG("", "left-right"),
    FLAG("", "cherry-pick"),
    FLAG("", "cherry-mark"),
    FLAG("", "cherry"),
    FLAG("g", "walk-reflogs"),
    FLAG("", "simplify-by-decoration"),
    FLAG("", "full-history"),
    FLAG("", "ancestry-path"),
    FLAG("", "not"),
    FLAG("", "boundary"),
    FLAG("", "show-signature"),
    FLAG("", "no-show-signature"),
    VALUE("L", ""),
    FLAG("c", ""),
    FLAG("", "cc"),
    FLAG("m", ""),
    FLAG("t", ""),
    FLAG("", "no-mailmap"),
    FLAG("", "use-mailmap"),
    FLAG("", "mailmap"),
    VALUE("", "encoding"),
    FLAG("", "log-size"),
    MAYBE("", "notes show-notes"),
    FLAG("q", ""),
};

static const Option shortlog_options[] = {
    FLAG("n", "numbered"),    FLAG("s", "summary"),
    FLAG("e", "email"),       FLAG("c", "committer"),
    FLAG("", "all"),          FLAG("", "no-merges"),
    VALUE("", "since after"), VALUE("", "until before"),
    VALUE("", "group"),       VALUE("", "format"),
    MAYBE("w", ""),
};

static const Option rev_list_options[] = {
    VALUE("n", "max-count"),   VALUE("", "skip"),         FLAG("", "count"),
    FLAG("", "all"),           MAYBE("", "branches"),     MAYBE("", "tags"),
    MAYBE("", "remotes"),      FLAG("", "objects"),       FLAG("", "parents"),
    FLAG("", "left-right"),    FLAG("", "no-walk"),       FLAG("", "first-parent"),
    FLAG("", "merges"),        FLAG("", "no-merges"),     FLAG("", "reverse"),
    FLAG("", "abbrev-commit"), MAYBE("", "abbrev"),       VALUE("", "since after"),
    VALUE("", "until before"), VALUE("", "author"),       VALUE("", "grep"),
    FLAG("", "oneline"),       VALUE("", "format"),       MAYBE("", "pretty"),
    FLAG("", "not"),           FLAG("", "topo-order"),    FLAG("", "date-order"),
    FLAG("", "timestamp"),     FLAG("", "boundary"),      FLAG("", "cherry-pick"),
    FLAG("", "cherry-mark"),   FLAG("", "ancestry-path"), MAYBE("", "max-parents"),
    MAYBE("", "min-parents"),  FLAG("", "quiet"),         MAYBE("", "disk-usage"),
    VALUE("", "filter"),
};
