#include "base/cleanup.h"
#include "policy/options.h"
#define FLAG(letters_, names_)                                                                     \
    {                                                                                              \
        .letters = letters_, .names = names_, .argument = OPTION_FLAG                              \
    }
static const Option rm_options[] = {FLAG("f", "force"), FLAG("rR", "recursive"),
                                    FLAG("v", "verbose")};
const Tool tool_table[] = {
    {.names = "rm", .style = TOOL_GETOPT, .options = {rm_options, ARRAY_SIZE(rm_options)}},
};
const size_t n_tool_table = ARRAY_SIZE(tool_table);
