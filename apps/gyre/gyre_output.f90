!> What leaves the model for its analysis: u, v and eta through the weir client. All of weir is in this file; without
!! WEIR_RUN in the environment (set by `weir run`) its calls return at once.
module gyre_output
  use, intrinsic :: iso_fortran_env, only: error_unit
  use weir
  use gyre_grid, only: dp, tile
  use gyre_config, only: config
  use gyre_physics, only: state
  implicit none
  private
  public :: output, output_open, output_step, output_close

  type output
    type(weir_stream_f) :: stream
  end type output

contains

  !> Define the fields and this process's piece of them. Coordinates are those of cell centres; the location says
  !! where a field sits. `error` is for the build without the client: here an analysis that fails does not stop the
  !! model.
  subroutine output_open(self, t, cfg, error)
    type(output), intent(out) :: self
    type(tile), intent(in) :: t
    type(config), intent(in) :: cfg
    character(len=*), intent(out) :: error
    integer :: whole(2), first(2), cells(2), status(4)
    real(dp) :: d(2)

    error = ''
    if (cfg%output_every == 0) return
    whole = [cfg%nx, cfg%ny]
    first = [t%i0 + 1, t%j0 + 1]
    cells = [t%nx, t%ny]
    d = [cfg%lx / cfg%nx, cfg%ly / cfg%ny]
    call weir_open(self%stream, 'ocean', t%rank, t%ranks, time_units='s', ierr=status(1))
    call weir_field_define(self%stream, 'u', weir_real64, whole, 'x y', 'm s-1', weir_at_u, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(2))
    call weir_field_define(self%stream, 'v', weir_real64, whole, 'x y', 'm s-1', weir_at_v, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(3))
    call weir_field_define(self%stream, 'eta', weir_real64, whole, 'x y', 'm', weir_at_t, d / 2, d, 'm m', &
                           start=first, count=cells, ierr=status(4))
    call warn(self, status)
  end subroutine output_open

  !> Publish the state after `step` steps: sections of the arrays with halos, as they lie in memory.
  subroutine output_step(self, t, s, step, time)
    type(output), intent(inout) :: self
    type(tile), intent(in) :: t
    type(state), intent(in) :: s
    integer, intent(in) :: step
    real(dp), intent(in) :: time
    integer :: status(5)
    call weir_step_begin(self%stream, step, time, ierr=status(1))
    call weir_put(self%stream, 'u', s%u(1:t%nx, 1:t%ny), ierr=status(2))
    call weir_put(self%stream, 'v', s%v(1:t%nx, 1:t%ny), ierr=status(3))
    call weir_put(self%stream, 'eta', s%eta(1:t%nx, 1:t%ny), ierr=status(4))
    call weir_step_end(self%stream, ierr=status(5))
    call warn(self, status)
  end subroutine output_step

  subroutine output_close(self)
    type(output), intent(inout) :: self
    call weir_close(self%stream)
  end subroutine output_close

  !> The call that finds the analysis lost says so, all later ones return 0: this prints once.
  subroutine warn(self, status)
    type(output), intent(in) :: self
    integer, intent(in) :: status(:)
    if (all(status == 0)) return
    write (error_unit, '(a)') 'gyre: the model goes on without its analysis: '//weir_error(self%stream)
  end subroutine warn

end module gyre_output
