/*
 * clawrden-warden: options, --check, and then the parent process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fd.h"
#include "base/log.h"
#include "parent/parent.h"

/* 0, 1 for a policy that would be refused at the start. */
static int check(const Options *options)
{
    Policy *policy = files_load_policy(options->policy, options->log_json);

    if (!policy)
        return EXIT_FAILURE;
    (void)printf("%s: good, %zu rules\n", options->policy, policy_n_rules(policy));
    policy_free(policy);
    return EXIT_SUCCESS;
}

/* The standard descriptors exist, and stdin is nobody's terminal. */
static int settle_descriptors(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return -errno;
    for (int fd = 0; fd <= 2; fd++)
        if ((fd == 0 || fcntl(fd, F_GETFD) < 0) && dup2(null, fd) < 0)
            return -errno;
    if (null > 2)
        fd_close(null);
    return 0;
}

int main(int argc, char **argv)
{
    Options options;
    int parsed = options_parse(argc, argv, &options);

    if (parsed != 0) {
        options_done(&options);
        return parsed == 1 ? EXIT_SUCCESS : 2;
    }
    log_open("clawrden-warden", NULL, options.log_json);
    int status = EXIT_FAILURE;
    int result = settle_descriptors();
    if (result < 0)
        log_error("cannot open /dev/null: %s", strerror(-result));
    else if (sodium_init() < 0)
        log_error("libsodium cannot be initialised");
    else
        status = options.check ? check(&options) : parent_run(&options);
    options_done(&options);
    return status;
}
