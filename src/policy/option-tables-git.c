/*
 * git: its global options, and the options of the subcommands that rules are usually about.
 *
 * Sources: git(1) and the manual pages of the subcommands, git 2.39. Subcommands read their options
 * with an own parser that joins letters and completes abbreviated names like getopt_long(3); the
 * diff options do so since 2.22.
 */
#include "policy/option-tables.h"

/* git(1). Not harmless: -c, --config-env, --exec-path, --git-dir, --work-tree, --namespace,
 * -p/--paginate and everything else that makes git read other configuration or run programs. */
static const Option global_options[] = {
    SAFE_VALUE("C", ""),
    VALUE("c", ""),
    VALUE("", "config-env"),
    MAYBE("", "exec-path"),
    VALUE("", "git-dir"),
    VALUE("", "work-tree"),
    VALUE("", "namespace"),
    VALUE("", "super-prefix"),
    MAYBE("", "list-cmds"),
    FLAG("p", "paginate"),
    SAFE_FLAG("P", "no-pager"),
    SAFE_FLAG("", "no-optional-locks"),
    SAFE_FLAG("", "no-replace-objects"),
    SAFE_FLAG("", "literal-pathspecs"),
    SAFE_FLAG("", "glob-pathspecs"),
    SAFE_FLAG("", "noglob-pathspecs"),
    SAFE_FLAG("", "icase-pathspecs"),
    FLAG("", "bare"),
    SAFE_FLAG("v", "version"),
    FLAG("h", "help"),
    FLAG("", "html-path"),
    FLAG("", "man-path"),
    FLAG("", "info-path"),
};

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

static const Option status_options[] = {
    FLAG("s", "short"),
    FLAG("b", "branch"),
    FLAG("", "no-branch"),
    FLAG("", "show-stash"),
    MAYBE("", "porcelain"),
    FLAG("", "long"),
    FLAG("v", "verbose"),
    MAYBE("u", "untracked-files"),
    MAYBE("", "ignore-submodules"),
    MAYBE("", "ignored"),
    FLAG("z", "null"),
    MAYBE("", "column"),
    FLAG("", "no-column"),
    FLAG("", "ahead-behind"),
    FLAG("", "no-ahead-behind"),
    FLAG("", "renames"),
    FLAG("", "no-renames"),
    MAYBE("", "find-renames"),
};

static const Option rev_parse_options[] = {
    FLAG("", "show-toplevel"),
    FLAG("", "show-prefix"),
    FLAG("", "show-cdup"),
    FLAG("", "show-superproject-working-tree"),
    FLAG("", "git-dir"),
    FLAG("", "absolute-git-dir"),
    FLAG("", "git-common-dir"),
    VALUE("", "git-path"),
    FLAG("", "is-inside-work-tree"),
    FLAG("", "is-inside-git-dir"),
    FLAG("", "is-bare-repository"),
    FLAG("", "is-shallow-repository"),
    FLAG("", "shared-index-path"),
    MAYBE("", "show-object-format"),
    FLAG("", "verify"),
    FLAG("q", "quiet"),
    MAYBE("", "short"),
    MAYBE("", "abbrev-ref"),
    FLAG("", "symbolic"),
    FLAG("", "symbolic-full-name"),
    FLAG("", "all"),
    MAYBE("", "branches"),
    MAYBE("", "tags"),
    MAYBE("", "remotes"),
    FLAG("", "local-env-vars"),
    FLAG("", "revs-only"),
    FLAG("", "no-revs"),
    FLAG("", "flags"),
    FLAG("", "no-flags"),
    VALUE("", "default"),
    VALUE("", "prefix"),
    MAYBE("", "path-format"),
    FLAG("", "end-of-options"),
};

static const Option ls_files_options[] = {
    FLAG("c", "cached"),
    FLAG("d", "deleted"),
    FLAG("m", "modified"),
    FLAG("o", "others"),
    FLAG("i", "ignored"),
    FLAG("s", "stage"),
    FLAG("u", "unmerged"),
    FLAG("k", "killed"),
    FLAG("t", ""),
    FLAG("v", ""),
    FLAG("f", ""),
    FLAG("z", ""),
    FLAG("", "directory"),
    FLAG("", "no-empty-directory"),
    FLAG("", "eol"),
    FLAG("", "deduplicate"),
    VALUE("x", "exclude"),
    VALUE("X", "exclude-from"),
    VALUE("", "exclude-per-directory"),
    FLAG("", "exclude-standard"),
    FLAG("", "error-unmatch"),
    VALUE("", "with-tree"),
    FLAG("", "full-name"),
    FLAG("", "recurse-submodules"),
    MAYBE("", "abbrev"),
    VALUE("", "format"),
};

static const Option ls_tree_options[] = {
    FLAG("d", ""),           FLAG("r", ""),         FLAG("t", ""),
    FLAG("l", "long"),       FLAG("z", ""),         FLAG("", "name-only name-status"),
    FLAG("", "object-only"), FLAG("", "full-name"), FLAG("", "full-tree"),
    MAYBE("", "abbrev"),     VALUE("", "format"),
};

static const Option branch_options[] = {
    FLAG("a", "all"),           FLAG("r", "remotes"),
    FLAG("l", "list"),          FLAG("v", "verbose"),
    FLAG("q", "quiet"),         FLAG("", "show-current"),
    MAYBE("", "color"),         FLAG("", "no-color"),
    FLAG("i", "ignore-case"),   MAYBE("", "column"),
    FLAG("", "no-column"),      VALUE("", "sort"),
    MAYBE("", "merged"),        MAYBE("", "no-merged"),
    VALUE("", "contains"),      VALUE("", "no-contains"),
    VALUE("", "points-at"),     VALUE("", "format"),
    MAYBE("", "abbrev"),        FLAG("", "no-abbrev"),
    FLAG("d", "delete"),        FLAG("D", ""),
    FLAG("m", "move"),          FLAG("M", ""),
    FLAG("c", "copy"),          FLAG("C", ""),
    FLAG("f", "force"),         MAYBE("t", "track"),
    FLAG("", "no-track"),       VALUE("u", "set-upstream-to"),
    FLAG("", "unset-upstream"), FLAG("", "edit-description"),
    FLAG("", "create-reflog"),
};

static const Option tag_options[] = {
    FLAG("l", "list"),        MAYBE("n", ""),           VALUE("", "sort"),
    VALUE("", "contains"),    VALUE("", "no-contains"), MAYBE("", "merged"),
    MAYBE("", "no-merged"),   VALUE("", "points-at"),   VALUE("", "format"),
    FLAG("i", "ignore-case"), MAYBE("", "column"),      MAYBE("", "color"),
    FLAG("a", "annotate"),    FLAG("s", "sign"),        FLAG("d", "delete"),
    FLAG("f", "force"),       FLAG("v", "verify"),      VALUE("m", "message"),
    VALUE("F", "file"),       VALUE("u", "local-user"), FLAG("e", "edit"),
};

static const Option remote_options[] = {
    FLAG("v", "verbose"),
    FLAG("", "push"),
    FLAG("", "all"),
    FLAG("n", ""),
};

static const Option config_options[] = {
    FLAG("l", "list"),
    FLAG("", "get"),
    FLAG("", "get-all"),
    FLAG("", "get-regexp"),
    FLAG("", "global"),
    FLAG("", "local"),
    FLAG("", "system"),
    FLAG("", "worktree"),
    FLAG("z", "null"),
    FLAG("", "name-only"),
    FLAG("", "show-origin"),
    FLAG("", "show-scope"),
    FLAG("", "includes"),
    FLAG("", "no-includes"),
    FLAG("", "bool"),
    FLAG("", "int"),
    FLAG("", "bool-or-int"),
    FLAG("", "path"),
    VALUE("", "type"),
    VALUE("", "default"),
    VALUE("f", "file"),
    VALUE("", "blob"),
    FLAG("", "add"),
    FLAG("", "unset"),
    FLAG("", "unset-all"),
    FLAG("", "replace-all"),
    FLAG("e", "edit"),
    FLAG("", "rename-section"),
    FLAG("", "remove-section"),
};

static const Option show_ref_options[] = {
    FLAG("", "head"),         FLAG("", "heads branches"), FLAG("", "tags"),
    FLAG("d", "dereference"), FLAG("q", "quiet"),         FLAG("", "verify"),
    MAYBE("s", "hash"),       MAYBE("", "abbrev"),        MAYBE("", "exclude-existing"),
};

static const Option for_each_ref_options[] = {
    VALUE("", "format"),     VALUE("", "sort"),        VALUE("", "count"),
    VALUE("", "contains"),   VALUE("", "no-contains"), MAYBE("", "merged"),
    MAYBE("", "no-merged"),  VALUE("", "points-at"),   MAYBE("", "color"),
    FLAG("", "ignore-case"), FLAG("", "shell"),        FLAG("", "perl"),
    FLAG("", "python"),      FLAG("", "tcl"),
};

static const Option describe_options[] = {
    FLAG("", "tags"),         FLAG("", "all"),      FLAG("", "long"),    MAYBE("", "abbrev"),
    FLAG("", "always"),       FLAG("", "contains"), VALUE("", "match"),  VALUE("", "exclude"),
    VALUE("", "candidates"),  MAYBE("", "dirty"),   MAYBE("", "broken"), FLAG("", "exact-match"),
    FLAG("", "first-parent"),
};

static const Option blame_options[] = {
    FLAG("b", ""),
    FLAG("", "root"),
    FLAG("l", ""),
    FLAG("t", ""),
    FLAG("f", "show-name"),
    FLAG("n", "show-number"),
    FLAG("s", ""),
    FLAG("e", "show-email"),
    FLAG("w", ""),
    FLAG("p", "porcelain"),
    FLAG("", "line-porcelain"),
    FLAG("", "incremental"),
    VALUE("L", ""),
    VALUE("", "date"),
    MAYBE("M", ""),
    MAYBE("C", ""),
    VALUE("", "since"),
    VALUE("", "contents"),
    VALUE("", "ignore-rev"),
    VALUE("", "ignore-revs-file"),
    FLAG("c", ""),
    MAYBE("", "abbrev"),
    FLAG("", "color-lines"),
    FLAG("", "color-by-age"),
    FLAG("", "first-parent"),
    FLAG("", "show-stats"),
};

static const Option grep_options[] = {
    FLAG("n", "line-number"),
    FLAG("i", "ignore-case"),
    FLAG("w", "word-regexp"),
    FLAG("v", "invert-match"),
    FLAG("l", "files-with-matches name-only"),
    FLAG("L", "files-without-match"),
    FLAG("c", "count"),
    FLAG("E", "extended-regexp"),
    FLAG("G", "basic-regexp"),
    FLAG("P", "perl-regexp"),
    FLAG("F", "fixed-strings"),
    FLAG("h", ""),
    FLAG("H", ""),
    FLAG("", "full-name"),
    FLAG("z", "null"),
    FLAG("o", "only-matching"),
    FLAG("", "column"),
    FLAG("p", "show-function"),
    FLAG("W", "function-context"),
    VALUE("A", "after-context"),
    VALUE("B", "before-context"),
    VALUE("C", "context"),
    VALUE("m", "max-count"),
    VALUE("", "max-depth"),
    FLAG("r", "recursive"),
    FLAG("", "no-recursive"),
    VALUE("e", ""),
    VALUE("f", ""),
    FLAG("", "and"),
    FLAG("", "or"),
    FLAG("", "not"),
    FLAG("", "all-match"),
    FLAG("q", "quiet"),
    MAYBE("", "color"),
    FLAG("", "no-color"),
    FLAG("", "break"),
    FLAG("", "heading"),
    FLAG("", "cached"),
    FLAG("", "untracked"),
    FLAG("", "no-index"),
    FLAG("", "exclude-standard"),
    FLAG("", "recurse-submodules"),
    FLAG("I", ""),
    FLAG("a", "text"),
    FLAG("", "textconv"),
    FLAG("", "no-textconv"),
    VALUE("", "threads"),
    MAYBE("O", "open-files-in-pager"),
};

static const Option cat_file_options[] = {
    FLAG("t", ""),
    FLAG("s", ""),
    FLAG("e", ""),
    FLAG("p", ""),
    MAYBE("", "batch"),
    MAYBE("", "batch-check"),
    FLAG("", "batch-all-objects"),
    FLAG("", "textconv"),
    FLAG("", "filters"),
    VALUE("", "path"),
    FLAG("", "allow-unknown-type"),
    FLAG("", "follow-symlinks"),
    FLAG("", "buffer"),
    FLAG("", "unordered"),
};

static const Option push_options[] = {
    FLAG("", "all branches"),
    FLAG("", "mirror"),
    FLAG("", "tags"),
    FLAG("", "follow-tags"),
    FLAG("n", "dry-run"),
    FLAG("", "porcelain"),
    FLAG("d", "delete"),
    FLAG("f", "force"),
    MAYBE("", "force-with-lease"),
    FLAG("", "force-if-includes"),
    FLAG("u", "set-upstream"),
    FLAG("q", "quiet"),
    FLAG("v", "verbose"),
    FLAG("", "progress"),
    FLAG("", "no-verify"),
    FLAG("", "verify"),
    FLAG("", "prune"),
    FLAG("", "atomic"),
    FLAG("", "thin"),
    FLAG("", "no-thin"),
    VALUE("o", "push-option"),
    VALUE("", "receive-pack exec"),
    VALUE("", "repo"),
    MAYBE("", "signed"),
    FLAG("", "no-signed"),
    MAYBE("", "recurse-submodules"),
    FLAG("4", "ipv4"),
    FLAG("6", "ipv6"),
};

static const Option fetch_options[] = {
    FLAG("", "all"),
    FLAG("a", "append"),
    VALUE("", "depth"),
    VALUE("", "deepen"),
    FLAG("", "unshallow"),
    FLAG("f", "force"),
    FLAG("k", "keep"),
    FLAG("p", "prune"),
    FLAG("P", "prune-tags"),
    FLAG("t", "tags"),
    FLAG("n", "no-tags"),
    FLAG("q", "quiet"),
    FLAG("v", "verbose"),
    FLAG("", "progress"),
    FLAG("", "dry-run"),
    VALUE("", "upload-pack"),
    VALUE("j", "jobs"),
    VALUE("o", "server-option"),
    MAYBE("", "recurse-submodules"),
    FLAG("u", "update-head-ok"),
    FLAG("m", "multiple"),
    FLAG("4", "ipv4"),
    FLAG("6", "ipv6"),
    VALUE("", "filter"),
    VALUE("", "refmap"),
    VALUE("", "shallow-since"),
    VALUE("", "shallow-exclude"),
};

static const Option commit_options[] = {
    FLAG("a", "all"),
    FLAG("p", "patch"),
    VALUE("C", "reuse-message"),
    VALUE("c", "reedit-message"),
    VALUE("", "fixup"),
    VALUE("", "squash"),
    FLAG("", "reset-author"),
    FLAG("", "short"),
    FLAG("", "branch"),
    FLAG("", "porcelain"),
    FLAG("", "long"),
    FLAG("z", "null"),
    VALUE("F", "file"),
    VALUE("", "author"),
    VALUE("", "date"),
    VALUE("m", "message"),
    VALUE("t", "template"),
    FLAG("s", "signoff"),
    FLAG("n", "no-verify"),
    FLAG("", "allow-empty"),
    FLAG("", "allow-empty-message"),
    VALUE("", "cleanup"),
    FLAG("e", "edit"),
    FLAG("", "no-edit"),
    FLAG("", "amend"),
    FLAG("i", "include"),
    FLAG("o", "only"),
    VALUE("", "pathspec-from-file"),
    MAYBE("u", "untracked-files"),
    FLAG("v", "verbose"),
    FLAG("q", "quiet"),
    FLAG("", "dry-run"),
    FLAG("", "status"),
    FLAG("", "no-status"),
    MAYBE("S", "gpg-sign"),
    FLAG("", "no-gpg-sign"),
    VALUE("", "trailer"),
};

static const Option reset_options[] = {
    FLAG("", "hard"),
    FLAG("", "soft"),
    FLAG("", "mixed"),
    FLAG("", "merge"),
    FLAG("", "keep"),
    FLAG("q", "quiet"),
    FLAG("p", "patch"),
    FLAG("N", "intent-to-add"),
    VALUE("", "pathspec-from-file"),
    MAYBE("", "recurse-submodules"),
};

static const Option clean_options[] = {
    FLAG("d", ""),        FLAG("f", "force"), FLAG("i", "interactive"),
    FLAG("n", "dry-run"), FLAG("q", "quiet"), VALUE("e", "exclude"),
    FLAG("x", ""),        FLAG("X", ""),
};

static const Option checkout_options[] = {
    FLAG("f", "force"),
    FLAG("q", "quiet"),
    VALUE("b", ""),
    VALUE("B", ""),
    MAYBE("t", "track"),
    FLAG("", "detach"),
    VALUE("", "orphan"),
    FLAG("", "ours"),
    FLAG("", "theirs"),
    FLAG("m", "merge"),
    VALUE("", "conflict"),
    FLAG("p", "patch"),
    FLAG("", "ignore-other-worktrees"),
    FLAG("l", ""),
    MAYBE("", "recurse-submodules"),
    VALUE("", "pathspec-from-file"),
    FLAG("d", ""),
};

static const Option add_options[] = {
    FLAG("n", "dry-run"),       FLAG("v", "verbose"),
    FLAG("f", "force"),         FLAG("i", "interactive"),
    FLAG("p", "patch"),         FLAG("e", "edit"),
    FLAG("u", "update"),        FLAG("A", "all no-ignore-removal"),
    FLAG("N", "intent-to-add"), FLAG("", "refresh"),
    FLAG("", "ignore-errors"),  FLAG("", "ignore-missing"),
    FLAG("", "sparse"),         FLAG("", "renormalize"),
    VALUE("", "chmod"),         VALUE("", "pathspec-from-file"),
};

static const Option merge_base_options[] = {
    FLAG("a", "all"),       FLAG("", "octopus"),     FLAG("", "independent"),
    FLAG("", "fork-point"), FLAG("", "is-ancestor"),
};

static const Option symbolic_ref_options[] = {
    FLAG("q", "quiet"), FLAG("", "short"),   FLAG("d", "delete"),
    VALUE("m", ""),     FLAG("", "recurse"), FLAG("", "no-recurse"),
};

static const Option check_ignore_options[] = {
    FLAG("q", "quiet"),        FLAG("v", "verbose"), FLAG("", "stdin"), FLAG("z", ""),
    FLAG("n", "non-matching"), FLAG("", "no-index"), FLAG("a", "all"),
};

static const Option list_options[] = {
    FLAG("", "porcelain"),
    FLAG("v", "verbose"),
    FLAG("z", ""),
    FLAG("H", "human-readable"),
};

static const Option write_tree_options[] = {FLAG("", "missing-ok"), VALUE("", "prefix")};

static const Option ls_remote_options[] = {
    FLAG("", "heads branches"),  FLAG("t", "tags"),     FLAG("", "refs"),
    FLAG("q", "quiet"),          FLAG("", "exit-code"), FLAG("", "get-url"),
    FLAG("", "symref"),          VALUE("", "sort"),     VALUE("", "upload-pack exec"),
    VALUE("o", "server-option"),
};

static const Subcommand subcommands[] = {
    {"add stage", TABLE(add_options)},
    {"blame annotate", TABLE(blame_options)},
    {"branch", TABLE(branch_options)},
    {"cat-file", TABLE(cat_file_options)},
    {"check-attr", TABLE(check_ignore_options)},
    {"check-ignore", TABLE(check_ignore_options)},
    {"checkout", TABLE(checkout_options)},
    {"clean", TABLE(clean_options)},
    {"commit", TABLE(commit_options)},
    {"config", TABLE(config_options)},
    {"count-objects", TABLE(list_options)},
    {"describe", TABLE(describe_options)},
    {"diff", TABLE(diff_options)},
    {"diff-files", TABLE(diff_plumbing_options)},
    {"diff-index", TABLE(diff_plumbing_options)},
    {"diff-tree", TABLE(diff_plumbing_options)},
    {"fetch", TABLE(fetch_options)},
    {"for-each-ref", TABLE(for_each_ref_options)},
    {"grep", TABLE(grep_options)},
    {"log", TABLE(log_options)},
    {"ls-files", TABLE(ls_files_options)},
    {"ls-remote", TABLE(ls_remote_options)},
    {"ls-tree", TABLE(ls_tree_options)},
    {"merge-base", TABLE(merge_base_options)},
    {"push", TABLE(push_options)},
    {"reflog", TABLE(log_options)},
    {"remote", TABLE(remote_options)},
    {"reset", TABLE(reset_options)},
    {"rev-list", TABLE(rev_list_options)},
    {"rev-parse", TABLE(rev_parse_options)},
    {"shortlog", TABLE(shortlog_options)},
    {"show", TABLE(log_options)},
    {"show-ref", TABLE(show_ref_options)},
    {"stash", TABLE(log_options)},
    {"status", TABLE(status_options)},
    {"switch", TABLE(checkout_options)},
    {"symbolic-ref", TABLE(symbolic_ref_options)},
    {"tag", TABLE(tag_options)},
    {"whatchanged", TABLE(log_options)},
    {"worktree", TABLE(list_options)},
    {"write-tree", TABLE(write_tree_options)},
};

const Tool tool_git = {
    .name = "git",
    .style = TOOL_GETOPT,
    .options = TABLE(global_options),
    SUBCOMMANDS(subcommands),
};
