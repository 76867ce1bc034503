# Install rules and the CMake package.
include(CMakePackageConfigHelpers)

install(TARGETS rankpool EXPORT rankpool-targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS rankrun DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES launcher/rankrun.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES launcher/rankrun.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME rankrun)
install(TARGETS rankpool_host DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/rankpool)
foreach(name IN LISTS RANKPOOL_MPIS)
  install(TARGETS rankpool_module_${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})  # next to the library, which looks there
endforeach()
install(DIRECTORY runtime/include/rankpool DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.hpp")

install(EXPORT rankpool-targets NAMESPACE rankpool:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rankpool)
configure_package_config_file(cmake/rankpool-config.cmake.in ${PROJECT_BINARY_DIR}/rankpool-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rankpool)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/rankpool-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/rankpool-config.cmake ${PROJECT_BINARY_DIR}/rankpool-config-version.cmake cmake/rankpool-mpi.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rankpool)
