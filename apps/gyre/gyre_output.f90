!> What leaves the model for its analysis: u, v and eta through the weir client; and what comes back: the strength of the
!! wind and, where the namelist says assimilate, increments of u, v and eta. All of weir is in this file; without
!! WEIR_RUN in the environment (set by `weir run`) its calls return at once.
module gyre_output
  use, intrinsic :: iso_fortran_env, only: error_unit
  use weir
  use gyre_grid, only: dp, tile
  use gyre_config, only: config
  use gyre_physics, only: ocean, ocean_add, ocean_wind, state
  implicit none
  private
  public :: output, output_open, output_step, output_saved, output_restart, output_close

  type output
    type(weir_stream_f) :: stream
    logical :: assimilate = .false.
    real(dp) :: wind = 1                        !< factor of the stress
    real(dp), allocatable :: increment(:, :)    !< of one field, as it comes
  end type output

contains

  !> Define the fields and this process's piece of them. Coordinates are those of cell centres; the location says
  !! where a field sits. `error` is for the build without the client: here an analysis that fails does not stop the
  !! model.
  subroutine output_open(self, t, cfg, wind, error)
    type(output), intent(out) :: self
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    real(dp), intent(in) :: wind
    character(len=*), intent(out) :: error
    integer :: whole(2), first(2), cells(2), status(8)
    real(dp) :: d(2)

    error = ''
    self%wind = wind
    if (cfg%output_every == 0) return
    whole = [cfg%nx, cfg%ny]
    first = [t%i0 + 1, t%j0 + 1]
    cells = [t%nx, t%ny]
    d = [cfg%lx / cfg%nx, cfg%ly / cfg%ny]
    call weir_open(self%stream, 'ocean', t%rank, t%ranks, time_units='s', comm=t%comm%mpi_val, ierr=status(1))
    call weir_field_define(self%stream, 'u', weir_real64, whole, 'x y', 'm s-1', weir_at_u, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(2))
    call weir_field_define(self%stream, 'v', weir_real64, whole, 'x y', 'm s-1', weir_at_v, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(3))
    call weir_field_define(self%stream, 'eta', weir_real64, whole, 'x y', 'm', weir_at_t, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(4))
    call weir_parameter_define(self%stream, 'wind', self%wind, 0.0_dp, 3.0_dp, ierr=status(5))
    status(6:8) = 0
    self%assimilate = cfg%assimilate
    if (self%assimilate) then
      allocate (self%increment(t%nx, t%ny))
      call weir_feedback_define(self%stream, 'du', weir_real64, whole, 'x y', 'm s-1', weir_at_u, d / 2, d, 'm m', &
                                start=first, count=cells, ierr=status(6))
      call weir_feedback_define(self%stream, 'dv', weir_real64, whole, 'x y', 'm s-1', weir_at_v, d / 2, d, 'm m', &
                                start=first, count=cells, ierr=status(7))
      call weir_feedback_define(self%stream, 'deta', weir_real64, whole, 'x y', 'm', weir_at_t, d / 2, d, 'm m', &
                                start=first, count=cells, ierr=status(8))
    end if
    call warn(self, status)
  end subroutine output_open

  !> Take what was decided for the state after `step` steps: the wind from here on, and what is to be added; then publish
  !! it: sections of the arrays with halos, as they lie in memory.
  subroutine output_step(self, t, o, s, step, time)
    type(output), intent(inout) :: self
    type(tile), intent(in) :: t
    type(ocean), intent(inout) :: o
    type(state), intent(inout) :: s
    integer, intent(in) :: step
    real(dp), intent(in) :: time
    integer :: status(6)
    real(dp) :: wind
    call weir_step_begin(self%stream, step, time, ierr=status(1))
    wind = self%wind
    call weir_parameter_get(self%stream, 'wind', wind, ierr=status(6))
    if (abs(wind - self%wind) > 0) call ocean_wind(o, wind)
    self%wind = wind
    if (self%assimilate) call add_increments(self, t, s)
    call weir_put(self%stream, 'u', s%u(1:t%nx, 1:t%ny), ierr=status(2))
    call weir_put(self%stream, 'v', s%v(1:t%nx, 1:t%ny), ierr=status(3))
    call weir_put(self%stream, 'eta', s%eta(1:t%nx, 1:t%ny), ierr=status(4))
    call weir_step_end(self%stream, ierr=status(5))
    call warn(self, status)
  end subroutine output_step

  !> The state after `step` steps is safe in a file.
  subroutine output_saved(self, step)
    type(output), intent(in) :: self
    integer, intent(in) :: step
    integer :: status(1)
    call weir_stream_checkpoint(self%stream, step, ierr=status(1))
    call warn(self, status)
  end subroutine output_saved

  !> Is this run to go on after a later step than `first`, before `last`, as its analysis does?
  logical function output_restart(first, last)
    integer, intent(inout) :: first
    integer, intent(in) :: last
    integer :: step
    step = first
    output_restart = weir_restart_step(step)
    output_restart = output_restart .and. step > first .and. step <= last
    if (output_restart) first = step
  end function output_restart

  !> Each field for itself: there are steps without a value. The next step of the model makes the halos current.
  subroutine add_increments(self, t, s)
    type(output), intent(inout) :: self
    type(tile), intent(in) :: t
    type(state), intent(inout) :: s
    integer :: status(3)
    call weir_get(self%stream, 'du', self%increment, ierr=status(1))
    if (status(1) == 0) call ocean_add(t, s, du=self%increment)
    call weir_get(self%stream, 'dv', self%increment, ierr=status(2))
    if (status(2) == 0) call ocean_add(t, s, dv=self%increment)
    call weir_get(self%stream, 'deta', self%increment, ierr=status(3))
    if (status(3) == 0) call ocean_add(t, s, deta=self%increment)
    call warn(self, status)
  end subroutine add_increments

  subroutine output_close(self)
    type(output), intent(inout) :: self
    call weir_close(self%stream)
  end subroutine output_close

  !> The call that finds the analysis lost says so, all later ones return 0: this prints once.
  subroutine warn(self, status)
    type(output), intent(in) :: self
    integer, intent(in) :: status(:)
    if (all(status >= 0)) return  ! weir_end: there was nothing to get
    write (error_unit, '(a)') 'gyre: the model goes on without its analysis: '//weir_error(self%stream)
  end subroutine warn

end module gyre_output
