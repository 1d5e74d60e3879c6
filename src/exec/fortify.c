/*
 * What libsodium's archive, which is made for glibc with _FORTIFY_SOURCE, wants beyond musl. For
 * the static programs alone (runner-main.c, launcher.c).
 */
#include <stdlib.h>
#include <string.h>

#ifndef __GLIBC__
void __explicit_bzero_chk(void *bytes, size_t size, size_t room);
void __explicit_bzero_chk(void *bytes, size_t size, size_t room)
{
    if (size > room)
        abort();
    explicit_bzero(bytes, size);
}
#endif
