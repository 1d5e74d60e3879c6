/*
 * What doctor's checks share; private to the cli.
 */
#pragma once

#include <jansson.h>

#include "cli/cli.h"

typedef enum DoctorResult {
    DOCTOR_OK,
    DOCTOR_NOTE,    /* worth knowing */
    DOCTOR_WARNING, /* works, but not as well as it could */
    DOCTOR_FAILED,  /* something essential does not work */
} DoctorResult;

typedef struct Doctor {
    const Cli *cli;
    bool system;    /* an installation of root's, not of this user alone */
    json_t *checks; /* owned */
    unsigned n_failed;
} Doctor;

/* Records one finding. */
void doctor_say(Doctor *doctor, DoctorResult result, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void doctor_check_kernel(Doctor *doctor);
void doctor_check_cgroup(Doctor *doctor);
/* `status` is the warden's answer. */
void doctor_check_api(Doctor *doctor, const json_t *status);
