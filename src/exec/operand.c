/*
 * See operand.h. Sources: the manual pages of each program (dash(1), bash(1), python3(1), perl(1),
 * ruby(1), node(1), php(1), lua(1), gawk(1), tclsh(1), Rscript(1), fish(1)).
 *
 * In doubt an argument counts as the script: if no such file can be opened, an approved command is
 * refused rather than run with something nobody saw.
 */
#include "exec/operand.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "exec/resolve.h"

typedef struct Interpreter {
    const char *names;   /* " name name " */
    const char *text;    /* letters whose value (joined or next) is the program's text */
    const char *file;    /* letters whose value (joined or next) is the script file */
    const char *value;   /* letters with a value (joined or next) */
    const char *next;    /* letters with a value that is always the next argument */
    const char *joined;  /* letters that swallow the rest of their argument */
    const char *unclear; /* letters that change where scripts are looked for */
    const char *input;   /* letters after which the program comes from standard input */
    const char *info;    /* letters that only print something when no script follows */
    const char *long_text, *long_file, *long_value; /* " --name --name " */
    bool plus;                                      /* `+x` is an option too */
    bool dash_ends;          /* a lone `-` ends the options instead of meaning standard input */
    bool first_is_text;      /* without a file option the first operand is the program's text */
    bool text_goes_on;       /* after a text option a script may still follow */
    bool needs_script;       /* never reads its program from standard input by itself */
    const char *subcommands; /* words to step over before the script */
} Interpreter;

static const Interpreter interpreters[] = {
    {.names = " sh bash dash ash zsh ksh ksh93 mksh lksh rbash yash ",
     .text = "c",
     .next = "oO",
     .input = "s",
     .long_text = " --command ",
     .long_value = " --rcfile --init-file --emulate ",
     .plus = true,
     .dash_ends = true},
    {.names = " fish ",
     .text = "c",
     .value = "CdofpD",
     .info = "vh",
     .long_text = " --command ",
     .long_value = " --init-command --debug --features --profile --profile-startup "},
    {.names = " python python2 python3 pypy pypy3 ",
     .text = "cm",
     .value = "WXQ",
     .info = "Vh",
     .long_value = " --check-hash-based-pycs "},
    {.names = " perl ",
     .text = "eE",
     .value = "I",
     .joined = "il0FCDMmdV",
     .unclear = "xS",
     .info = "vVh"},
    {.names = " ruby jruby ",
     .text = "e",
     .value = "IrE",
     .joined = "i0FKTWl",
     .unclear = "CXxS",
     .info = "vh",
     .long_value = " --encoding --external-encoding --internal-encoding "},
    {.names = " node nodejs ",
     .text = "ep",
     .value = "rC",
     .info = "vh",
     .long_text = " --eval --print --run --test ",
     .long_value = " --require --import --loader --experimental-loader --conditions --env-file "
                   "--env-file-if-exists --icu-data-dir --openssl-config --redirect-warnings "
                   "--title --input-type --inspect-port --debug-port --unhandled-rejections "
                   "--disable-warning --watch-path --experimental-default-type ",
     .subcommands = " inspect "},
    {.names = " bun ",
     .text = "ep",
     .value = "r",
     .info = "vh",
     .long_text = " --eval --print ",
     .long_value = " --preload --cwd --config --env-file ",
     .needs_script = true,
     .subcommands = " run "},
    {.names = " deno ", .needs_script = true, .subcommands = " run "},
    {.names = " php ",
     .text = "rRBE",
     .file = "fF",
     .value = "dcztS",
     .info = "vimh",
     .long_text = " --run --process-code --process-begin --process-end --rf --rc --re --rz ",
     .long_file = " --file --process-file ",
     .long_value = " --define --php-ini --zend-extension --docroot --server "},
    {.names = " lua luajit ",
     .text = "eb",
     .value = "lj",
     .joined = "O",
     .info = "v",
     .text_goes_on = true},
    {.names = " awk gawk mawk nawk original-awk ",
     .text = "e",
     .file = "fE",
     .value = "vFilW",
     .info = "VhC",
     .long_text = " --source ",
     .long_file = " --file --exec ",
     .long_value = " --assign --field-separator --include --load ",
     .first_is_text = true,
     .needs_script = true},
    {.names = " tclsh wish ", .long_value = " -encoding "},
    {.names = " expect ", .file = "fb", .value = "cd"},
    {.names = " Rscript ", .text = "e", .needs_script = true},
};

/* Programs that obey their standard input unless told otherwise; their arguments are not read.
 * Editors and pagers among them do so when it is a terminal, which a prisoner can be the other end
 * of: a key in them starts a shell. */
static const char obedient[] =
    " psql mysql mariadb sqlite3 mongo mongosh redis-cli cqlsh xargs parallel ed ex bc dc gdb lldb "
    "ssh mosh at batch crontab ftp sftp telnet nc ncat netcat socat su sudo doas screen tmux "
    "script "
    "vi vim vim.basic vim.tiny nvim view nano pico emacs less more most man info top htop patch "
    "ipython ipython3 irb R julia octave ghci gnuplot ";

/* Those that let somebody else obey it when one of their words says so. */
static const char forwarding[] = " docker podman nerdctl kubectl oc lxc machinectl ";
static const char forwarding_words[] = " exec run attach debug shell start ";

static bool is_word_in(const char *words, const char *word, size_t size)
{
    char wanted[64];

    if (!words || size == 0 || size > sizeof wanted - 3)
        return false;
    (void)snprintf(wanted, sizeof wanted, " %.*s ", (int)size, word);
    return strstr(words, wanted) != NULL;
}

static bool has_letter(const char *letters, char letter)
{
    return letters && strchr(letters, letter);
}

/* "python3.11" is python, "perl5.36.0" perl, "ruby3.1" ruby; python3 and sh stay what they are. */
static const Interpreter *interpreter_of(const char *name)
{
    size_t size = strlen(name), stem = size;

    while (stem > 0 && (isdigit((unsigned char)name[stem - 1]) || strchr(".-", name[stem - 1])))
        stem--;
    for (size_t i = 0; i < ARRAY_SIZE(interpreters); i++) {
        if (is_word_in(interpreters[i].names, name, size) ||
            is_word_in(interpreters[i].names, name, stem))
            return &interpreters[i];
    }
    return NULL;
}

static bool is_stdin(const char *path)
{
    return strcmp(path, "/dev/stdin") == 0 || strcmp(path, "/dev/fd/0") == 0 ||
           strcmp(path, "/proc/self/fd/0") == 0;
}

/* A scan of one argument list. */
typedef struct Scan {
    const Interpreter *interpreter;
    const char *const *argv;
    size_t argc;
    size_t at;
    bool has_text, has_info, has_input, has_unclear;
    unsigned n_files;
    Operand file;
} Scan;

static void note_file(Scan *scan, size_t argument, size_t offset)
{
    if (argument >= scan->argc)
        return; /* the option's value is missing: the program will complain */
    if (scan->n_files++ == 0)
        scan->file = (Operand){OPERAND_FILE, argument, offset};
}

/* `--name`, `--name=value`. */
/* Long options of all interpreters that are known to take no value. */
static const char known_flags[] =
    " --norc --noprofile --login --posix --verbose --restricted --noediting --debug --version "
    "--help --test --watch --check --no-warnings --trace-warnings --trace-deprecation "
    "--enable-source-maps --inspect --inspect-brk --expose-gc --preserve-symlinks "
    "--preserve-symlinks-main --yydebug --jit --disable-gems --sandbox --csv --traditional "
    "--vanilla --allow-net "
    "--allow-read --allow-write --allow-env --allow-run --allow-all ";

static void scan_long(Scan *scan, const char *argument)
{
    const Interpreter *interpreter = scan->interpreter;
    size_t size = strcspn(argument, "=");
    bool joined = argument[size] == '=';

    if (is_word_in(interpreter->long_text, argument, size)) {
        scan->has_text = true;
        scan->at += !joined;
    } else if (is_word_in(interpreter->long_file, argument, size)) {
        if (joined)
            note_file(scan, scan->at, size + 1);
        else
            note_file(scan, ++scan->at, 0);
    } else if (is_word_in(interpreter->long_value, argument, size)) {
        scan->at += !joined;
    } else if (strcmp(argument, "--version") == 0 || strcmp(argument, "--help") == 0) {
        scan->has_info = true;
    } else if (!joined && !is_word_in(known_flags, argument, size)) {
        scan->has_unclear = true; /* the next argument may be its value, or the script */
    }
}

/* `-abc`: letters until one takes the rest. */
static void scan_letters(Scan *scan, const char *argument)
{
    const Interpreter *interpreter = scan->interpreter;
    size_t n_next = 0;

    for (size_t i = 1; argument[i]; i++) {
        char letter = argument[i];
        bool last = argument[i + 1] == '\0';
        if (has_letter(interpreter->text, letter)) {
            scan->has_text = true;
            /* A shell's -c goes on with letters: its text is the first operand. */
            if (interpreter->next)
                continue;
            scan->at += last;
            break;
        }
        if (has_letter(interpreter->file, letter)) {
            if (last)
                note_file(scan, ++scan->at, 0);
            else
                note_file(scan, scan->at, i + 1);
            return;
        }
        if (has_letter(interpreter->value, letter)) {
            scan->at += last;
            break;
        }
        if (has_letter(interpreter->unclear, letter))
            scan->has_unclear = true;
        if (has_letter(interpreter->unclear, letter) || has_letter(interpreter->joined, letter))
            break;
        n_next += has_letter(interpreter->next, letter);
        scan->has_input = scan->has_input || has_letter(interpreter->input, letter);
        scan->has_info = scan->has_info || has_letter(interpreter->info, letter);
    }
    scan->at += n_next;
}

/* Steps over the options. False when a lone `-` means standard input. */
static bool scan_options(Scan *scan)
{
    const Interpreter *interpreter = scan->interpreter;

    for (; scan->at < scan->argc; scan->at++) {
        const char *argument = scan->argv[scan->at];
        if (scan->has_text && !interpreter->text_goes_on && !interpreter->next)
            return true;
        if (strcmp(argument, "--") == 0 || (strcmp(argument, "-") == 0 && interpreter->dash_ends)) {
            scan->at++;
            return true;
        }
        if (strcmp(argument, "-") == 0)
            return scan->n_files > 0;
        if (argument[0] == '-' && argument[1] == '-')
            scan_long(scan, argument);
        else if (is_word_in(interpreter->long_value, argument, strlen(argument)))
            scan->at++;
        else if (argument[0] == '-' || (argument[0] == '+' && interpreter->plus))
            scan_letters(scan, argument);
        else
            return true;
    }
    return true;
}

static Operand scan_program(Scan *scan)
{
    const Interpreter *interpreter = scan->interpreter;
    const Operand none = {.kind = OPERAND_NONE}, input = {.kind = OPERAND_STDIN};

    if (scan->at < scan->argc &&
        is_word_in(interpreter->subcommands, scan->argv[scan->at], strlen(scan->argv[scan->at])))
        scan->at++;
    bool named = scan_options(scan);
    if (scan->n_files > 1)
        return (Operand){.kind = OPERAND_UNCLEAR};
    if (scan->n_files == 1) {
        const char *name = scan->argv[scan->file.argument] + scan->file.offset;
        return is_stdin(name) || strcmp(name, "-") == 0 ? input : scan->file;
    }
    if (scan->has_text && !interpreter->text_goes_on)
        return none;
    if (scan->has_input || !named)
        return input;
    if (interpreter->first_is_text)
        return none;
    if (scan->at < scan->argc) {
        if (is_stdin(scan->argv[scan->at]))
            return input;
        if (scan->has_unclear)
            return (Operand){.kind = OPERAND_UNCLEAR};
        return (Operand){OPERAND_FILE, scan->at, 0};
    }
    return scan->has_text || scan->has_info || interpreter->needs_script ? none : input;
}

bool operand_is_stdin(const char *program, const char *const *argv, size_t argc)
{
    /* Under the name that was called, too: psql is a link to a wrapper in Debian. */
    const char *names[] = {resolve_basename(program), argc > 0 ? resolve_basename(argv[0]) : ""};

    for (size_t n = 0; n < 2; n++) {
        size_t size = strlen(names[n]);
        if (is_word_in(obedient, names[n], size))
            return true;
        for (size_t i = 1; is_word_in(forwarding, names[n], size) && i < argc; i++)
            if (is_word_in(forwarding_words, argv[i], strlen(argv[i])))
                return true;
    }
    return false;
}

Operand operand_find(const char *program, const char *const *argv, size_t argc)
{
    const char *name = resolve_basename(program);
    Scan scan = {.argv = argv, .argc = argc, .at = 1};

    if (strcmp(name, "busybox") == 0 && argc > 0) {
        /* The applet's name is how it was called, or its first argument. */
        name = resolve_basename(argv[0]);
        if (strcmp(name, "busybox") == 0 && argc > 1) {
            name = argv[1];
            scan.at = 2;
        }
    }
    scan.interpreter = interpreter_of(name);
    if (scan.interpreter)
        return scan_program(&scan);
    return (Operand){.kind = operand_is_stdin(program, argv, argc) ? OPERAND_STDIN : OPERAND_NONE};
}
