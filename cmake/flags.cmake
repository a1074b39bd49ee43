# One place for what the compiler is told. -ffp-contract=off and no fast-math: results must not depend on how a loop was
# compiled (DESIGN: the same bytes everywhere).
add_library(weir_flags INTERFACE)
target_compile_definitions(weir_flags INTERFACE _GNU_SOURCE)
target_compile_options(weir_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wvla -Wstrict-prototypes -Wmissing-prototypes
  -ffp-contract=off -fno-math-errno -fno-trapping-math -fopenmp-simd>)
if(WEIR_WERROR)
  target_compile_options(weir_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(WEIR_SANITIZE)
  target_compile_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE} -fno-omit-frame-pointer -g
    $<$<COMPILE_LANGUAGE:C>:-fno-sanitize-recover=all>)
  target_link_options(weir_flags INTERFACE -fsanitize=${WEIR_SANITIZE})
endif()
set(CMAKE_C_FLAGS_RELEASE "-O3 -g -DNDEBUG")
