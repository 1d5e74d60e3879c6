/*
 * The GNU core utilities, and findutils' find. Sources: their manual pages, coreutils 9.1 and
 * findutils 4.9. Obsolete spellings such as `head -5` are no options of the table: rules that want
 * them write an expression.
 */
#include "policy/option-tables.h"

static const Option base64_options[] = {
    FLAG("d", "decode"),   FLAG("i", "ignore-garbage"), VALUE("w", "wrap"),
    FLAG("", "base64"),    FLAG("", "base64url"),       FLAG("", "base32"),
    FLAG("", "base32hex"), FLAG("", "base16"),          FLAG("", "z85"),
};

static const Option cat_options[] = {
    FLAG("A", "show-all"), FLAG("b", "number-nonblank"),  FLAG("e", ""), FLAG("E", "show-ends"),
    FLAG("n", "number"),   FLAG("s", "squeeze-blank"),    FLAG("t", ""), FLAG("T", "show-tabs"),
    FLAG("u", ""),         FLAG("v", "show-nonprinting"),
};

static const Option chmod_options[] = {
    FLAG("c", "changes"),   FLAG("f", "silent quiet"),    FLAG("v", "verbose"),
    FLAG("R", "recursive"), FLAG("", "no-preserve-root"), FLAG("", "preserve-root"),
    VALUE("", "reference"),
};

static const Option chown_options[] = {
    FLAG("c", "changes"),
    FLAG("f", "silent quiet"),
    FLAG("v", "verbose"),
    FLAG("R", "recursive"),
    FLAG("h", "no-dereference"),
    FLAG("", "dereference"),
    VALUE("", "from"),
    FLAG("", "no-preserve-root"),
    FLAG("", "preserve-root"),
    VALUE("", "reference"),
    FLAG("H", ""),
    FLAG("L", ""),
    FLAG("P", ""),
};

static const Option cp_options[] = {
    FLAG("a", "archive"),
    FLAG("", "attributes-only"),
    MAYBE("", "backup"),
    FLAG("b", ""),
    FLAG("", "copy-contents"),
    FLAG("d", ""),
    FLAG("f", "force"),
    FLAG("i", "interactive"),
    FLAG("H", ""),
    FLAG("l", "link"),
    FLAG("L", "dereference"),
    FLAG("n", "no-clobber"),
    FLAG("P", "no-dereference"),
    FLAG("p", ""),
    MAYBE("", "preserve"),
    VALUE("", "no-preserve"),
    FLAG("", "parents"),
    FLAG("rR", "recursive"),
    MAYBE("", "reflink"),
    FLAG("", "remove-destination"),
    VALUE("", "sparse"),
    FLAG("", "strip-trailing-slashes"),
    FLAG("s", "symbolic-link"),
    VALUE("S", "suffix"),
    VALUE("t", "target-directory"),
    FLAG("T", "no-target-directory"),
    FLAG("u", "update"),
    FLAG("v", "verbose"),
    FLAG("x", "one-file-system"),
    FLAG("Z", ""),
    MAYBE("", "context"),
};

static const Option date_options[] = {
    VALUE("d", "date"),     VALUE("f", "file"),         MAYBE("I", "iso-8601"),
    FLAG("R", "rfc-email"), VALUE("", "rfc-3339"),      VALUE("r", "reference"),
    VALUE("s", "set"),      FLAG("u", "utc universal"), FLAG("", "debug"),
    FLAG("", "help"),       FLAG("", "version"),
};

static const Option df_options[] = {
    FLAG("a", "all"),    VALUE("B", "block-size"), FLAG("h", "human-readable"),
    FLAG("H", "si"),     FLAG("i", "inodes"),      FLAG("k", ""),
    FLAG("l", "local"),  FLAG("", "sync"),         FLAG("", "no-sync"),
    MAYBE("", "output"), FLAG("P", "portability"), FLAG("", "total"),
    VALUE("t", "type"),  FLAG("T", "print-type"),  VALUE("x", "exclude-type"),
};

/* An expression of whole words; the tests and actions that take a value take the next word. */
static const Option find_options[] = {
    FLAG("", "H"),
    FLAG("", "L"),
    FLAG("", "P"),
    FLAG("", "a"),
    FLAG("", "and"),
    FLAG("", "o"),
    FLAG("", "or"),
    FLAG("", "not"),
    FLAG("", "depth"),
    FLAG("", "d"),
    FLAG("", "mount"),
    FLAG("", "xdev"),
    FLAG("", "follow"),
    FLAG("", "daystart"),
    FLAG("", "noleaf"),
    FLAG("", "warn"),
    FLAG("", "nowarn"),
    FLAG("", "ignore_readdir_race"),
    FLAG("", "noignore_readdir_race"),
    FLAG("", "true"),
    FLAG("", "false"),
    FLAG("", "empty"),
    FLAG("", "executable"),
    FLAG("", "readable"),
    FLAG("", "writable"),
    FLAG("", "nouser"),
    FLAG("", "nogroup"),
    FLAG("", "prune"),
    FLAG("", "quit"),
    FLAG("", "print"),
    FLAG("", "print0"),
    FLAG("", "ls"),
    VALUE("", "maxdepth"),
    VALUE("", "mindepth"),
    VALUE("", "regextype"),
    VALUE("", "amin"),
    VALUE("", "anewer"),
    VALUE("", "atime"),
    VALUE("", "cmin"),
    VALUE("", "cnewer"),
    VALUE("", "ctime"),
    VALUE("", "fstype"),
    VALUE("", "gid"),
    VALUE("", "group"),
    VALUE("", "ilname"),
    VALUE("", "iname"),
    VALUE("", "inum"),
    VALUE("", "ipath"),
    VALUE("", "iregex"),
    VALUE("", "iwholename"),
    VALUE("", "links"),
    VALUE("", "lname"),
    VALUE("", "mmin"),
    VALUE("", "mtime"),
    VALUE("", "name"),
    VALUE("", "newer"),
    VALUE("", "path"),
    VALUE("", "perm"),
    VALUE("", "regex"),
    VALUE("", "samefile"),
    VALUE("", "size"),
    VALUE("", "type"),
    VALUE("", "uid"),
    VALUE("", "used"),
    VALUE("", "user"),
    VALUE("", "wholename"),
    VALUE("", "xtype"),
    VALUE("", "context"),
    VALUE("", "printf"),
    VALUE("", "newermt"),
    VALUE("", "newerat"),
    VALUE("", "newerct"),
    VALUE("", "newermm"),
    VALUE("", "newerma"),
    VALUE("", "newermc"),
    VALUE("", "newerBt"),
    VALUE("", "newerBm"),
    VALUE("", "files0-from"),
    FLAG("", "delete"),
    VALUE("", "exec"),
    VALUE("", "execdir"),
    VALUE("", "ok"),
    VALUE("", "okdir"),
    VALUE("", "fprint"),
    VALUE("", "fprint0"),
    VALUE("", "fls"),
    VALUE("", "fprintf"),
};

static const Option head_options[] = {
    VALUE("c", "bytes"),  VALUE("n", "lines"),          FLAG("q", "quiet silent"),
    FLAG("v", "verbose"), FLAG("z", "zero-terminated"),
};

static const Option install_options[] = {
    MAYBE("", "backup"),
    FLAG("b", ""),
    FLAG("c", ""),
    FLAG("C", "compare"),
    FLAG("d", "directory"),
    FLAG("D", ""),
    VALUE("g", "group"),
    VALUE("m", "mode"),
    VALUE("o", "owner"),
    FLAG("p", "preserve-timestamps"),
    FLAG("s", "strip"),
    VALUE("", "strip-program"),
    VALUE("S", "suffix"),
    VALUE("t", "target-directory"),
    FLAG("T", "no-target-directory"),
    FLAG("v", "verbose"),
};

static const Option ln_options[] = {
    MAYBE("", "backup"),
    FLAG("b", ""),
    FLAG("dF", "directory"),
    FLAG("f", "force"),
    FLAG("i", "interactive"),
    FLAG("L", "logical"),
    FLAG("n", "no-dereference"),
    FLAG("P", "physical"),
    FLAG("r", "relative"),
    FLAG("s", "symbolic"),
    VALUE("S", "suffix"),
    VALUE("t", "target-directory"),
    FLAG("T", "no-target-directory"),
    FLAG("v", "verbose"),
};

static const Option ls_options[] = {
    FLAG("a", "all"),
    FLAG("A", "almost-all"),
    FLAG("", "author"),
    FLAG("b", "escape"),
    VALUE("", "block-size"),
    FLAG("B", "ignore-backups"),
    FLAG("c", ""),
    FLAG("C", ""),
    MAYBE("", "color"),
    FLAG("d", "directory"),
    FLAG("D", "dired"),
    FLAG("f", ""),
    MAYBE("F", "classify"),
    FLAG("", "file-type"),
    VALUE("", "format"),
    FLAG("", "full-time"),
    FLAG("g", ""),
    FLAG("", "group-directories-first"),
    FLAG("G", "no-group"),
    FLAG("h", "human-readable"),
    FLAG("", "si"),
    FLAG("H", "dereference-command-line"),
    VALUE("", "hide"),
    MAYBE("", "hyperlink"),
    VALUE("", "indicator-style"),
    FLAG("i", "inode"),
    VALUE("I", "ignore"),
    FLAG("k", "kibibytes"),
    FLAG("l", ""),
    FLAG("L", "dereference"),
    FLAG("m", ""),
    FLAG("n", "numeric-uid-gid"),
    FLAG("N", "literal"),
    FLAG("o", ""),
    FLAG("p", ""),
    FLAG("q", "hide-control-chars"),
    FLAG("", "show-control-chars"),
    FLAG("Q", "quote-name"),
    VALUE("", "quoting-style"),
    FLAG("r", "reverse"),
    FLAG("R", "recursive"),
    FLAG("s", "size"),
    FLAG("S", ""),
    VALUE("", "sort"),
    VALUE("", "time"),
    VALUE("", "time-style"),
    FLAG("t", ""),
    VALUE("T", "tabsize"),
    FLAG("u", ""),
    FLAG("U", ""),
    FLAG("v", ""),
    VALUE("w", "width"),
    FLAG("x", ""),
    FLAG("X", ""),
    FLAG("Z", "context"),
    FLAG("", "zero"),
    FLAG("1", ""),
};

static const Option mkdir_options[] = {
    VALUE("m", "mode"),
    FLAG("p", "parents"),
    FLAG("v", "verbose"),
    FLAG("Z", ""),
};

static const Option mv_options[] = {
    MAYBE("", "backup"),
    FLAG("b", ""),
    FLAG("f", "force"),
    FLAG("i", "interactive"),
    FLAG("n", "no-clobber"),
    FLAG("", "strip-trailing-slashes"),
    VALUE("S", "suffix"),
    VALUE("t", "target-directory"),
    FLAG("T", "no-target-directory"),
    FLAG("u", "update"),
    FLAG("v", "verbose"),
    FLAG("Z", "context"),
};

static const Option rm_options[] = {
    FLAG("f", "force"),
    FLAG("i", ""),
    FLAG("I", ""),
    MAYBE("", "interactive"),
    FLAG("", "one-file-system"),
    FLAG("", "no-preserve-root"),
    MAYBE("", "preserve-root"),
    FLAG("rR", "recursive"),
    FLAG("d", "dir"),
    FLAG("v", "verbose"),
    FLAG("", "help"),
    FLAG("", "version"),
};

static const Option shred_options[] = {
    FLAG("f", "force"), VALUE("n", "iterations"), VALUE("", "random-source"), VALUE("s", "size"),
    FLAG("u", ""),      MAYBE("", "remove"),      FLAG("v", "verbose"),       FLAG("x", "exact"),
    FLAG("z", "zero"),
};

static const Option shuf_options[] = {
    FLAG("e", "echo"),
    VALUE("i", "input-range"),
    VALUE("n", "head-count"),
    VALUE("o", "output"),
    VALUE("", "random-source"),
    FLAG("r", "repeat"),
    FLAG("z", "zero-terminated"),
};

static const Option sort_options[] = {
    FLAG("b", "ignore-leading-blanks"),
    FLAG("d", "dictionary-order"),
    FLAG("f", "ignore-case"),
    FLAG("g", "general-numeric-sort"),
    FLAG("i", "ignore-nonprinting"),
    FLAG("M", "month-sort"),
    FLAG("h", "human-numeric-sort"),
    FLAG("n", "numeric-sort"),
    FLAG("R", "random-sort"),
    VALUE("", "random-source"),
    FLAG("r", "reverse"),
    VALUE("", "sort"),
    FLAG("V", "version-sort"),
    VALUE("", "batch-size"),
    FLAG("c", ""),
    FLAG("C", ""),
    MAYBE("", "check"),
    VALUE("", "compress-program"),
    FLAG("", "debug"),
    VALUE("", "files0-from"),
    VALUE("k", "key"),
    FLAG("m", "merge"),
    VALUE("o", "output"),
    FLAG("s", "stable"),
    VALUE("S", "buffer-size"),
    VALUE("t", "field-separator"),
    VALUE("T", "temporary-directory"),
    VALUE("", "parallel"),
    FLAG("u", "unique"),
    FLAG("z", "zero-terminated"),
};

static const Option tail_options[] = {
    VALUE("c", "bytes"),  FLAG("f", ""),
    MAYBE("", "follow"),  FLAG("F", ""),
    VALUE("n", "lines"),  VALUE("", "max-unchanged-stats"),
    VALUE("", "pid"),     FLAG("q", "quiet silent"),
    FLAG("", "retry"),    VALUE("s", "sleep-interval"),
    FLAG("v", "verbose"), FLAG("z", "zero-terminated"),
};

static const Option tee_options[] = {
    FLAG("a", "append"),
    FLAG("i", "ignore-interrupts"),
    FLAG("p", ""),
    MAYBE("", "output-error"),
};

static const Option touch_options[] = {
    FLAG("a", ""),
    FLAG("c", "no-create"),
    VALUE("d", "date"),
    FLAG("f", ""),
    FLAG("h", "no-dereference"),
    FLAG("m", ""),
    VALUE("r", "reference"),
    VALUE("t", ""),
    VALUE("", "time"),
};

static const Option uniq_options[] = {
    FLAG("c", "count"),           FLAG("d", "repeated"),     FLAG("D", ""),
    MAYBE("", "all-repeated"),    VALUE("f", "skip-fields"), MAYBE("", "group"),
    FLAG("i", "ignore-case"),     VALUE("s", "skip-chars"),  FLAG("u", "unique"),
    FLAG("z", "zero-terminated"), VALUE("w", "check-chars"),
};

static const Option wc_options[] = {
    FLAG("c", "bytes"), FLAG("m", "chars"),       FLAG("l", "lines"), FLAG("L", "max-line-length"),
    FLAG("w", "words"), VALUE("", "files0-from"), VALUE("", "total"),
};

#define GETOPT(name_, aliases_, options_)                                                          \
    {                                                                                              \
        .name = (name_), .aliases = (aliases_), .style = TOOL_GETOPT, .options = TABLE(options_)   \
    }

/* Tools whose operands are files and nothing else. */
#define FILES(name_, aliases_, options_)                                                           \
    {                                                                                              \
        .name = (name_), .aliases = (aliases_), .style = TOOL_GETOPT, .options = TABLE(options_),  \
        .widening = WIDENING_PATHS                                                                 \
    }

const Tool tools_coreutils[] = {
    GETOPT("base64", "base32 basenc", base64_options),
    FILES("cat", "", cat_options),
    GETOPT("chmod", "", chmod_options),
    GETOPT("chown", "chgrp", chown_options),
    FILES("cp", "", cp_options),
    GETOPT("date", "", date_options),
    GETOPT("df", "", df_options),
    {.name = "find", .style = TOOL_WORDS, .options = TABLE(find_options)},
    FILES("head", "", head_options),
    GETOPT("install", "", install_options),
    GETOPT("ln", "", ln_options),
    FILES("ls", "dir vdir", ls_options),
    FILES("mkdir", "", mkdir_options),
    FILES("mv", "", mv_options),
    FILES("rm", "", rm_options),
    FILES("shred", "", shred_options),
    GETOPT("shuf", "", shuf_options),
    FILES("sort", "", sort_options),
    FILES("tail", "", tail_options),
    FILES("tee", "", tee_options),
    FILES("touch", "", touch_options),
    FILES("uniq", "", uniq_options),
    FILES("wc", "", wc_options),
};
const size_t n_tools_coreutils = ARRAY_SIZE(tools_coreutils);
