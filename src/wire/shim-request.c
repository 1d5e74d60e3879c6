/* See shim-request.h. */
#include "wire/shim-request.h"
