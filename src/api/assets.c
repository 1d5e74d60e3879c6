/*
 * See assets.h. list-assets.sh writes asset-list.h: one ASSET for each file of web/, with its type,
 * size and a tag made of its content. The build runs it anew when a file changes, and this file is
 * compiled again. The assembler refuses more bytes than were listed (clang's knows no
 * `.if` behind an .incbin); test-assets.c sees fewer.
 */
#include "api/assets.h"

#include <string.h>

#define ASSET(name, path, type, etag, size, file)                                                  \
    __asm__(".pushsection .rodata\n"                                                               \
            ".global asset_bytes_" #name "\n"                                                      \
            ".type asset_bytes_" #name ", %object\n"                                               \
            "asset_bytes_" #name ":\n"                                                             \
            ".incbin \"" file "\"\n"                                                               \
            ".size asset_bytes_" #name ", . - asset_bytes_" #name "\n"                             \
            ".org asset_bytes_" #name " + " #size "\n"                                             \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char asset_bytes_##name[];
#include "asset-list.h" /* generated */
#undef ASSET

#define ASSET(name, path, type, etag, size, file) {path, type, etag, asset_bytes_##name, size},
static const Asset assets[] = {
#include "asset-list.h"
};
#undef ASSET

static const size_t n_assets = sizeof assets / sizeof assets[0];

const Asset *asset_at(size_t index)
{
    return index < n_assets ? &assets[index] : NULL;
}

const Asset *asset_find(const char *path)
{
    for (size_t i = 0; i < n_assets; i++)
        if (strcmp(assets[i].path, path) == 0)
            return &assets[i];
    return NULL;
}
