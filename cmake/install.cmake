# Install: the command, the libraries, the headers, the Fortran module's source, weir.pc, weir-client.pc and the CMake
# package, so that `pkg-config --libs weir-client` and find_package(weir) work.
include(CMakePackageConfigHelpers)

install(TARGETS weir EXPORT weirTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET weir-client)
  install(TARGETS weir-client EXPORT weirTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET weir_cli)
  install(TARGETS weir_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/weir DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
# As source: a .mod file fits one compiler and its version only.
install(FILES client/fortran/weir.f90 DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/fortran OPTIONAL)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DATADIR}/weir/examples FILES_MATCHING PATTERN "*.yaml")

# The .pc files find the prefix from where they lie, so that a tree that was moved, or installed with --prefix, works.
file(RELATIVE_PATH WEIR_PC_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(name weir weir-client)
  configure_file(cmake/${name}.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
endforeach()
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weir.pc ${CMAKE_CURRENT_BINARY_DIR}/weir-client.pc
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

configure_package_config_file(cmake/weirConfig.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir
                              PATH_VARS CMAKE_INSTALL_DATADIR)
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/weirConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/weirConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
install(EXPORT weirTargets NAMESPACE weir:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/weir)
