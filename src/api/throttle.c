/*
 * See throttle.h. Buckets are found by a keyed hash of what they stand for, in a table of fixed
 * size: a key whose place is taken displaces the fullest of a few, which has the least to say.
 */
#include "api/throttle.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE 4096u
#define WAYS 8u /* places that a key may have */

typedef struct Allowance {
    double most;       /* tries at once */
    double per_second; /* how fast they come back */
} Allowance;

static const Allowance of_user = {5, 1.0 / 15}, of_address = {10, 1.0 / 6}, of_all = {30, 2};

typedef struct Bucket {
    uint64_t key; /* 0: unused, and full */
    double left;
    uint64_t at_ms;
} Bucket;

struct Throttle {
    unsigned char key[crypto_shorthash_KEYBYTES];
    Bucket all;
    Bucket table[TABLE_SIZE];
};

Throttle *throttle_new(void)
{
    Throttle *throttle = calloc(1, sizeof *throttle);
    if (!throttle)
        return NULL;
    randombytes_buf(throttle->key, sizeof throttle->key);
    throttle->all = (Bucket){.key = 1, .left = of_all.most};
    return throttle;
}

Throttle *throttle_free(Throttle *throttle)
{
    free(throttle);
    return NULL;
}

static void refill(Bucket *bucket, const Allowance *allowance, uint64_t now_ms)
{
    bucket->left += (double)(now_ms - bucket->at_ms) / 1000 * allowance->per_second;
    bucket->at_ms = now_ms;
    if (bucket->left > allowance->most)
        bucket->left = allowance->most;
}

static uint64_t key_of(const Throttle *throttle, char kind, const char *text)
{
    unsigned char hash[crypto_shorthash_BYTES];
    char message[256];
    uint64_t key;

    (void)snprintf(message, sizeof message, "%c%s", kind, text);
    (void)crypto_shorthash(hash, (const unsigned char *)message, strlen(message), throttle->key);
    memcpy(&key, hash, sizeof key);
    return key ? key : 1;
}

static Bucket *find(Throttle *throttle, uint64_t key, const Allowance *allowance, uint64_t now_ms)
{
    Bucket *fullest = NULL;

    for (unsigned i = 0; i < WAYS; i++) {
        Bucket *bucket = &throttle->table[(key + i) % TABLE_SIZE];
        if (bucket->key == key) {
            refill(bucket, allowance, now_ms);
            return bucket;
        }
        if (!fullest || bucket->key == 0 || (fullest->key != 0 && bucket->left > fullest->left))
            fullest = bucket;
    }
    *fullest = (Bucket){.key = key, .left = allowance->most, .at_ms = now_ms};
    return fullest;
}

static unsigned wait_of(const Bucket *bucket, const Allowance *allowance)
{
    return bucket->left >= 1 ? 0 : 1 + (unsigned)((1 - bucket->left) / allowance->per_second);
}

unsigned throttle_take(Throttle *throttle, const char *user, const char *address, uint64_t now_ms)
{
    Bucket *by_user = find(throttle, key_of(throttle, 'u', user), &of_user, now_ms);
    Bucket *by_address = find(throttle, key_of(throttle, 'a', address), &of_address, now_ms);
    unsigned wait = wait_of(by_user, &of_user), other = wait_of(by_address, &of_address);

    if (other > wait)
        wait = other;
    if (throttle->all.at_ms == 0)
        throttle->all.at_ms = now_ms;
    refill(&throttle->all, &of_all, now_ms);
    other = wait_of(&throttle->all, &of_all);
    if (other > wait)
        wait = other;
    if (wait > 0)
        return wait;
    by_user->left--;
    by_address->left--;
    throttle->all.left--;
    return 0;
}

void throttle_give_back(Throttle *throttle, const char *user, const char *address, uint64_t now_ms)
{
    find(throttle, key_of(throttle, 'u', user), &of_user, now_ms)->left++;
    find(throttle, key_of(throttle, 'a', address), &of_address, now_ms)->left++;
    throttle->all.left++;
}
