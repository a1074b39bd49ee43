!> gyre: a shallow-water double gyre, a small ocean model of the size of a page of instrumentation. See README.md.
program gyre
  use, intrinsic :: iso_fortran_env, only: error_unit, output_unit
  use, intrinsic :: iso_c_binding, only: c_int
  use mpi_f08
  use gyre_grid
  use gyre_config
  use gyre_physics
  use gyre_restart
  use gyre_diagnostics
  use gyre_output
  implicit none

  interface
    subroutine c_exit(status) bind(c, name='exit')
      import :: c_int
      integer(c_int), value :: status
    end subroutine c_exit
  end interface

  integer, parameter :: bad_input = 2, failed = 1  ! exit status
  type(config) :: cfg
  type(tile) :: t
  type(ocean) :: o
  type(state) :: s
  type(diagnostics) :: d
  type(output) :: analysis
  integer :: first, last, step
  real(dp) :: mean_eta0, wind
  character(len=512) :: error

  call MPI_Init()
  call start()
  do step = first + 1, last
    call ocean_step(o, t, s)
    if (due(cfg%output_every)) call output_step(analysis, t, o, s, step, step * cfg%dt)
    if (due(cfg%diagnostics_every) .or. (step == last .and. cfg%diagnostics_every > 0)) then
      call ocean_refresh(t, s)
      call diagnostics_report(d, t, o, s, step, error)
      call stop_on(error, failed)
    end if
    if (due(cfg%restart_every) .or. (step == last .and. cfg%restart_write /= '')) then
      call require_finite(t, s, step, error)
      call stop_on(error, failed)
      call restart_write(cfg%restart_write, t, cfg, step, mean_eta0, analysis%wind, s, error)
      call stop_on(error, failed)
      call output_saved(analysis, step)
    end if
  end do
  call output_close(analysis)
  call diagnostics_close(d)
  call MPI_Finalize()

contains

  !> Everything before the first step. Errors here are of the input: exit status 2.
  subroutine start()
    character(len=1024) :: path
    call namelist_path(path)
    call config_read(path, MPI_COMM_WORLD, cfg, error)
    call stop_on(error, bad_input)
    call tile_create(MPI_COMM_WORLD, cfg%nx, cfg%ny, cfg%npx, cfg%npy, t, error)
    call stop_on(error, bad_input)
    call ocean_create(t, cfg, o)
    call ocean_rest(t, cfg, s)
    first = 0
    wind = 1
    mean_eta0 = mean_eta(t, s)
    if (cfg%restart_read /= '') then
      call restart_read(cfg%restart_read, t, cfg, first, mean_eta0, wind, s, error)
      call stop_on(error, bad_input)
      if (cfg%restart_step >= 0) first = cfg%restart_step
    end if
    if (cfg%nsteps > huge(1) - 1 - first) call stop_on('nsteps: more steps than can be counted', bad_input)
    last = first + cfg%nsteps
    if (output_restart(first, last)) then  ! this run was broken off: the same one goes on
      call restart_find(cfg%restart_write, first, t, cfg, mean_eta0, wind, s, error)
      call stop_on(error, bad_input)
    end if
    call ocean_wind(o, wind)
    call ocean_refresh(t, s)
    call output_open(analysis, t, cfg, wind, error)
    call stop_on(error, bad_input)
    call diagnostics_start(d, t, o, s, mean_eta0, cfg%budget_file, first, error)
    call stop_on(error, bad_input)
    if (t%rank == 0) write (output_unit, '(2(a,i0),a,2(i0,a),f0.3,2(a,i0))') 'gyre: ', cfg%nx, ' x ', cfg%ny, &
        ' cells on ', t%npx, ' x ', t%npy, ' processes, dt ', cfg%dt, ' s, steps ', first + 1, &
        ' to ', last
  end subroutine start

  !> The only argument: the namelist file; gyre.nml without it.
  subroutine namelist_path(path)
    character(len=*), intent(out) :: path
    integer :: rank
    call MPI_Comm_rank(MPI_COMM_WORLD, rank)
    path = 'gyre.nml'
    if (command_argument_count() > 1) call stop_on('one argument at most, the namelist file (gyre --help)', bad_input)
    if (command_argument_count() == 1) call get_command_argument(1, path)
    if (path /= '--help' .and. path /= '-h') return
    if (rank == 0) write (output_unit, '(a)') &
      'usage: gyre [FILE]', &
      'Runs the shallow-water double gyre set up by the namelist &gyre in FILE (default gyre.nml); start it with', &
      'mpirun for several processes. All settings and their units are in the README and in the sample gyre.nml.'
    call MPI_Finalize()
    call c_exit(0)
  end subroutine namelist_path

  pure logical function due(every)
    integer, intent(in) :: every
    due = .false.
    if (every > 0) due = mod(step, every) == 0
  end function due

  !> Leave with one message from rank 0. Collective: every process knows the same error.
  subroutine stop_on(message, status)
    character(len=*), intent(in) :: message
    integer, intent(in) :: status
    integer :: rank
    if (message == '') return
    call MPI_Comm_rank(MPI_COMM_WORLD, rank)
    if (rank == 0) write (error_unit, '(a)') 'gyre: '//trim(message)
    call output_close(analysis)
    call MPI_Finalize()
    call c_exit(int(status, c_int))
  end subroutine stop_on

end program gyre
