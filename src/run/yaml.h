/* What recipes are read with: core/yaml.h. */
#ifndef WEIR_RUN_YAML_H
#define WEIR_RUN_YAML_H
#include "core/yaml.h"
#endif
